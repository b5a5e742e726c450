package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pushgate/pushgate/internal/config/importer"
)

// Env is what a command sees of the world.
type Env struct {
	Args   []string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Reload <-chan os.Signal // SIGHUP
}

// command is one verb. Its run gets the arguments after the verb.
type command struct {
	name string // one to three words: "serve", "config check"
	args string
	help string
	run  func(ctx context.Context, env Env) error
}

// commands lists every verb, in the order of the help text.
func commands() []command {
	return []command{
		{name: "serve", args: "--config FILE", help: "run the gateway", run: runServe},
		{name: "dev", args: "", help: "run everything against simulators, without a configuration", run: runDev},
		{name: "simulate", args: "[--dir DIR]", help: "run fake APNs, FCM and Web Push services", run: runSimulate},
		{name: "send", args: "[flags]", help: "send one notification to a gateway", run: runSend},
		{name: "config import sygnal", args: "[-o OUT] FILE", help: "turn a Sygnal configuration into ours", run: importWith("sygnal", importer.Sygnal)},
		{name: "config import gematik", args: "[-o OUT] FILE", help: "turn a gematik reference gateway configuration into ours", run: importWith("gematik", importer.Gematik)},
		{name: "config check", args: "FILE", help: "check a configuration file and print every problem", run: runConfigCheck},
		{name: "queue", args: "list|show|retry|purge", help: "look at and act on what waits for delivery", run: runQueue},
		{name: "rejected", args: "list|forget", help: "look at and act on the ledger of dead pushkeys", run: runRejected},
		{name: "pusher", args: "list|delete --user U [--device D]", help: "show what a person registered; report a logout or erase a person", run: runPusher},
		{name: "healthcheck", args: "[--url URL]", help: "ask a running gateway whether it is ready (exit 0) or not (exit 1)", run: runHealthcheck},
		{name: "version", args: "", help: "print the version", run: runVersion},
	}
}

// errUsage ends a command with exit code 2 after its text was printed.
var errUsage = errors.New("usage")

// Run executes one command and returns the process's exit code: 0 done, 1 failed, 2 wrong usage.
func Run(ctx context.Context, env Env) int {
	if len(env.Args) == 0 {
		printHelp(env.Stderr)
		return 2
	}
	switch env.Args[0] {
	case "help", "-h", "-help", "--help":
		printHelp(env.Stdout)
		return 0
	}
	cmd, rest, ok := find(env.Args)
	if !ok {
		_, _ = fmt.Fprintf(env.Stderr, "pushgate: unknown command %q\n\n", strings.Join(firstWords(env.Args), " "))
		printHelp(env.Stderr)
		return 2
	}
	env.Args = rest
	err := cmd.run(ctx, env)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	default:
		_, _ = fmt.Fprintf(env.Stderr, "pushgate %s: %v\n", cmd.name, err)
		return 1
	}
}

// find matches longer verbs first.
func find(args []string) (command, []string, bool) {
	for words := 3; words >= 1; words-- {
		if len(args) < words {
			continue
		}
		name := strings.Join(args[:words], " ")
		for _, c := range commands() {
			if c.name == name {
				return c, args[words:], true
			}
		}
	}
	return command{}, nil, false
}

// firstWords returns the verb of args without its flags.
func firstWords(args []string) []string {
	for i, a := range args {
		if strings.HasPrefix(a, "-") || i == 3 {
			return args[:i]
		}
	}
	return args
}

func printHelp(w io.Writer) {
	_, _ = fmt.Fprint(w, "pushgate delivers notifications from Matrix homeservers and Fachdienste through APNs, FCM and Web Push.\n\nCommands:\n")
	for _, c := range commands() {
		_, _ = fmt.Fprintf(w, "  %-46s %s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
	}
	_, _ = fmt.Fprint(w, "\npushgate COMMAND -h shows a command's flags.\n")
}

// newFlags returns a flag set that prints its help to stderr and says wrong usage instead of ending the process.
func newFlags(env Env, name, args string) *flag.FlagSet {
	fs := flag.NewFlagSet("pushgate "+name, flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	fs.Usage = func() {
		_, _ = fmt.Fprintf(env.Stderr, "usage: pushgate %s\n", strings.TrimSpace(name+" "+args))
		fs.PrintDefaults()
	}
	return fs
}

// parse reads flags and insists on the number of arguments that follow them.
func parse(env Env, fs *flag.FlagSet, positional int) error {
	if err := fs.Parse(env.Args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if fs.NArg() != positional {
		fs.Usage()
		return errUsage
	}
	return nil
}
