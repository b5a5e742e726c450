package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/pushgate/pushgate/internal/admin"
	"github.com/pushgate/pushgate/internal/config"
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
	// The image and the systemd unit set the variable for the process, so that `docker exec` finds its socket.
	dataDir := cmp.Or(os.Getenv(config.EnvPrefix+"DATA_DIR"), "data")
	f.fs.StringVar(&f.dataDir, "data-dir", dataDir, "data_dir of the running process")
	f.fs.BoolVar(&f.json, "json", false, "print JSON")
	return f
}

// list adds the flags of a page.
func (f *adminFlags) list() *adminFlags {
	f.fs.StringVar(&f.app, "app", "", "only this app_id")
	f.fs.Int64Var(&f.after, "after", 0, "continue after this id (queue) or seq (rejected)")
	f.fs.IntVar(&f.limit, "limit", 100, "at most so many lines")
	return f
}

// acting adds the flag without which a command does not touch every row of every app.
func (f *adminFlags) acting() *adminFlags {
	f.fs.StringVar(&f.app, "app", "", "only this app_id")
	f.fs.BoolVar(&f.all, "all", false, "everything of --app, instead of named ones")
	return f
}

// chosen returns the arguments, which name rows or devices, or none with -all and -app: nothing acts on everything by
// accident.
func (f *adminFlags) chosen(env Env) ([]string, error) {
	args, err := arguments(env, f.fs)
	switch {
	case err != nil:
		return nil, err
	case f.all && len(args) > 0:
		return nil, wrong(env, f.fs, "takes names or --all, not both")
	case f.all && f.app == "":
		return nil, wrong(env, f.fs, "--all needs --app")
	case !f.all && len(args) == 0:
		return nil, wrong(env, f.fs, "needs names, or --all and --app")
	default:
		return args, nil
	}
}

// rows is chosen where the names are ids.
func (f *adminFlags) rows(env Env) (admin.Choice, error) {
	args, err := f.chosen(env)
	if err != nil {
		return admin.Choice{}, err
	}
	c := admin.Choice{App: f.app}
	for _, text := range args {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return c, fmt.Errorf("%q is not a row's id", text)
		}
		c.IDs = append(c.IDs, id)
	}
	return c, nil
}

func runQueueList(ctx context.Context, env Env) error {
	f := newAdminFlags(env, "queue list", "[flags]").list()
	if _, err := parse(env, f.fs, 0); err != nil {
		return err
	}
	return ask(ctx, env, f, admin.CommandQueueList, admin.List{App: f.app, After: f.after, Limit: f.limit}, printRows)
}

func runQueueShow(ctx context.Context, env Env) error {
	f := newAdminFlags(env, "queue show", "[flags] ID ...")
	choice, err := f.rows(env)
	if err != nil {
		return err
	}
	return ask(ctx, env, f, admin.CommandQueueShow, choice, printRows)
}

func runQueueRetry(ctx context.Context, env Env) error {
	return actOnRows(ctx, env, "queue retry", admin.CommandQueueRetry, "due now")
}

func runQueuePurge(ctx context.Context, env Env) error {
	return actOnRows(ctx, env, "queue purge", admin.CommandQueuePurge, "deleted, their notifications are lost")
}

func actOnRows(ctx context.Context, env Env, name, command, done string) error {
	f := newAdminFlags(env, name, "[flags] ID ... | --all --app APP_ID").acting()
	choice, err := f.rows(env)
	if err != nil {
		return err
	}
	return ask(ctx, env, f, command, choice, counted(done))
}

func runRejectedList(ctx context.Context, env Env) error {
	f := newAdminFlags(env, "rejected list", "[flags]").list()
	if _, err := parse(env, f.fs, 0); err != nil {
		return err
	}
	return ask(ctx, env, f, admin.CommandRejectedList, admin.List{App: f.app, After: f.after, Limit: f.limit}, printDead)
}

func runRejectedForget(ctx context.Context, env Env) error {
	f := newAdminFlags(env, "rejected forget", "[flags] DEVICE ... | --all --app APP_ID").acting()
	devices, err := f.chosen(env)
	if err != nil {
		return err
	}
	return ask(ctx, env, f, admin.CommandRejectedForget, admin.Choice{App: f.app, Devices: devices},
		counted("forgotten: their next notification asks the provider again"))
}

// ask puts a command to the running process and prints its answer as JSON or in columns.
func ask[Out any](ctx context.Context, env Env, f *adminFlags, command string, in any, columns func(io.Writer, Out)) error {
	var out Out
	if err := admin.NewClient(f.dataDir).Call(ctx, command, in, &out); err != nil {
		return err
	}
	if f.json {
		enc := json.NewEncoder(env.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(out); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		return nil
	}
	tab := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	columns(tab, out)
	return tab.Flush()
}

// counted prints how much a command touched.
func counted(done string) func(io.Writer, admin.Done) {
	return func(w io.Writer, out admin.Done) { _, _ = fmt.Fprintf(w, "%d %s\n", out.Count, done) }
}

func printRows(w io.Writer, page admin.Rows) {
	_, _ = fmt.Fprintln(w, "ID\tAPP\tDEVICE\tATTEMPTS\tACCEPTED\tDUE\tDEADLINE\tSTATE")
	for _, r := range page.Rows {
		state := "waiting"
		if r.InFlight {
			state = "in flight"
		}
		if r.BadgeOnly {
			state += ", badge only"
		}
		if r.Trouble != "" {
			state += ", app " + r.Trouble
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", r.ID, r.App, r.Device, r.Attempts, clock(r.Accepted), clock(r.Due), clock(r.Deadline), state)
	}
}

func printDead(w io.Writer, page admin.DeadList) {
	_, _ = fmt.Fprintln(w, "SEQ\tAPP\tDEVICE\tDEAD SINCE\tVERDICT")
	for _, d := range page.Dead {
		verdict := "certain"
		if d.Guarded {
			verdict = "guarded"
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", d.Seq, d.App, d.Device, clock(d.Since), verdict)
	}
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
