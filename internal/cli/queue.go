package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pushgate/pushgate/internal/admin"
)

// adminFlags are what every command on the admin socket shares.
type adminFlags struct {
	fs      *flag.FlagSet
	dataDir string
	app     string
	json    bool
	after   int64
	limit   int
	all     bool
}

func newAdminFlags(env Env, name, args string) *adminFlags {
	f := &adminFlags{fs: newFlags(env, name, args)}
	f.fs.StringVar(&f.dataDir, "data-dir", "data", "data_dir of the running process")
	f.fs.StringVar(&f.app, "app", "", "only this app_id")
	f.fs.BoolVar(&f.json, "json", false, "print JSON")
	return f
}

// list adds the flags of a page.
func (f *adminFlags) list() *adminFlags {
	f.fs.Int64Var(&f.after, "after", 0, "continue after this id (queue) or seq (rejected)")
	f.fs.IntVar(&f.limit, "limit", 100, "at most so many lines")
	return f
}

// acting adds the flag without which a command does not touch every row of every app.
func (f *adminFlags) acting() *adminFlags {
	f.fs.BoolVar(&f.all, "all", false, "everything of -app, instead of named ones")
	return f
}

func (f *adminFlags) parse(env Env, args []string) error {
	env.Args = args
	if err := f.fs.Parse(env.Args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	return nil
}

// runQueue looks at and acts on what waits for delivery.
func runQueue(ctx context.Context, env Env) error {
	verb, args := firstWord(env.Args)
	f := newAdminFlags(env, "queue "+verb, "[flags] [ID ...]")
	switch verb {
	case "list":
		if err := f.list().parse(env, args); err != nil {
			return err
		}
		var out admin.Rows
		if err := f.call(ctx, admin.CommandQueueList, admin.List{App: f.app, After: f.after, Limit: f.limit}, &out); err != nil {
			return err
		}
		return f.print(env.Stdout, out, func(w io.Writer) { printRows(w, out.Rows) })
	case "show":
		if err := f.parse(env, args); err != nil {
			return err
		}
		choice, err := f.rows()
		if err != nil {
			return err
		}
		var out admin.Rows
		if err := f.call(ctx, admin.CommandQueueShow, choice, &out); err != nil {
			return err
		}
		return f.print(env.Stdout, out, func(w io.Writer) { printRows(w, out.Rows) })
	case "retry", "purge":
		return f.actOnRows(ctx, env, verb, args)
	default:
		return wrongVerb(env, "queue", "list, show, retry or purge")
	}
}

func (f *adminFlags) actOnRows(ctx context.Context, env Env, verb string, args []string) error {
	if err := f.acting().parse(env, args); err != nil {
		return err
	}
	choice, err := f.rows()
	if err != nil {
		return err
	}
	command, done := admin.CommandQueueRetry, "due now"
	if verb == "purge" {
		command, done = admin.CommandQueuePurge, "deleted, their notifications are lost"
	}
	return f.act(ctx, env, command, choice, done)
}

// rows reads ids from the arguments, or with -all the whole app.
func (f *adminFlags) rows() (admin.Choice, error) {
	if f.all != (f.fs.NArg() == 0) || f.all && f.app == "" {
		f.fs.Usage()
		return admin.Choice{}, errUsage
	}
	c := admin.Choice{App: f.app}
	for _, text := range f.fs.Args() {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return c, fmt.Errorf("%q is not a row's id", text)
		}
		c.IDs = append(c.IDs, id)
	}
	return c, nil
}

// runRejected looks at and acts on the ledger of dead pushkeys.
func runRejected(ctx context.Context, env Env) error {
	verb, args := firstWord(env.Args)
	f := newAdminFlags(env, "rejected "+verb, "[flags] [DEVICE ...]")
	switch verb {
	case "list":
		if err := f.list().parse(env, args); err != nil {
			return err
		}
		var out admin.DeadList
		if err := f.call(ctx, admin.CommandRejectedList, admin.List{App: f.app, After: f.after, Limit: f.limit}, &out); err != nil {
			return err
		}
		return f.print(env.Stdout, out, func(w io.Writer) { printDead(w, out.Dead) })
	case "forget":
		if err := f.acting().parse(env, args); err != nil {
			return err
		}
		if f.all != (f.fs.NArg() == 0) || f.all && f.app == "" {
			f.fs.Usage()
			return errUsage
		}
		return f.act(ctx, env, admin.CommandRejectedForget, admin.Choice{App: f.app, Devices: f.fs.Args()}, "forgotten: their next notification asks the provider again")
	default:
		return wrongVerb(env, "rejected", "list or forget")
	}
}

func (f *adminFlags) act(ctx context.Context, env Env, command string, c any, done string) error {
	var out admin.Done
	if err := f.call(ctx, command, c, &out); err != nil {
		return err
	}
	return f.print(env.Stdout, out, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%d %s\n", out.Count, done) })
}

func (f *adminFlags) call(ctx context.Context, command string, in, out any) error {
	return admin.NewClient(f.dataDir).Call(ctx, command, in, out)
}

// print writes JSON or columns.
func (f *adminFlags) print(w io.Writer, out any, columns func(io.Writer)) error {
	if f.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(out); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		return nil
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	columns(tab)
	return tab.Flush()
}

func printRows(w io.Writer, rows []admin.Row) {
	_, _ = fmt.Fprintln(w, "ID\tAPP\tDEVICE\tATTEMPTS\tACCEPTED\tDUE\tDEADLINE\tSTATE")
	for _, r := range rows {
		state := "waiting"
		if r.InFlight {
			state = "in flight"
		}
		if r.BadgeOnly {
			state += ", badge only"
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", r.ID, r.App, r.Device, r.Attempts, clock(r.Accepted), clock(r.Due), clock(r.Deadline), state)
	}
}

func printDead(w io.Writer, dead []admin.Dead) {
	_, _ = fmt.Fprintln(w, "SEQ\tAPP\tDEVICE\tDEAD SINCE\tVERDICT")
	for _, d := range dead {
		verdict := "certain"
		if d.Guarded {
			verdict = "guarded"
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", d.Seq, d.App, d.Device, clock(d.Since), verdict)
	}
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func firstWord(args []string) (string, []string) {
	if len(args) == 0 {
		return "", nil
	}
	return args[0], args[1:]
}

func wrongVerb(env Env, command, verbs string) error {
	_, _ = fmt.Fprintf(env.Stderr, "pushgate %s: say %s\n", command, strings.TrimSpace(verbs))
	return errUsage
}
