package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/internal/config/importer"
)

// Env is what a command sees of the world.
type Env struct {
	Args   []string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Reload <-chan os.Signal // SIGHUP of serve
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
		{name: "queue list", args: "[--app APP_ID]", help: "list what waits for delivery", run: runQueueList},
		{name: "queue show", args: "ID ...", help: "show rows of the queue", run: runQueueShow},
		{name: "queue retry", args: "ID ... | --all --app APP_ID", help: "make rows due now", run: runQueueRetry},
		{name: "queue purge", args: "ID ... | --all --app APP_ID", help: "delete rows: their notifications are lost", run: runQueuePurge},
		{name: "rejected list", args: "[--app APP_ID]", help: "list the ledger of dead pushkeys", run: runRejectedList},
		{name: "rejected forget", args: "DEVICE ... | --all --app APP_ID", help: "forget dead pushkeys: their provider is asked again", run: runRejectedForget},
		{name: "pusher list", args: "--user USER [--device D]", help: "list what a person registered", run: runPusherList},
		{name: "pusher delete", args: "--user USER [--device D]", help: "report a logout, or erase a person", run: runPusherDelete},
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
	case "-version", "--version":
		env.Args = []string{"version"}
	}
	cmd, rest, ok := find(env.Args)
	if !ok {
		return unknown(env)
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

// unknown answers what is no command: with the commands that begin with the same word, if there are any.
func unknown(env Env) int {
	group := slices.DeleteFunc(commands(), func(c command) bool { return !strings.HasPrefix(c.name, env.Args[0]+" ") })
	switch {
	case len(group) == 0:
		_, _ = fmt.Fprintf(env.Stderr, "pushgate: there is no command %q, pushgate help lists them\n", env.Args[0])
		return 2
	case slices.ContainsFunc(env.Args, isHelp):
		printCommands(env.Stdout, group)
		return 0
	default:
		_, _ = fmt.Fprintf(env.Stderr, "pushgate %s: say which:\n", env.Args[0])
		printCommands(env.Stderr, group)
		return 2
	}
}

func isHelp(arg string) bool { return slices.Contains([]string{"-h", "-help", "--help"}, arg) }

func printHelp(w io.Writer) {
	_, _ = fmt.Fprint(w, "pushgate delivers notifications from Matrix homeservers and Fachdienste through APNs, FCM and Web Push.\n\n")
	printCommands(w, commands())
	_, _ = fmt.Fprint(w, "\npushgate COMMAND -h shows a command's flags.\n")
}

func printCommands(w io.Writer, list []command) {
	for _, c := range list {
		_, _ = fmt.Fprintf(w, "  %-48s %s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
	}
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

// parse reads flags and insists on the number of other arguments, which it returns.
func parse(env Env, fs *flag.FlagSet, positional int) ([]string, error) {
	args, err := arguments(env, fs)
	if err != nil {
		return nil, err
	}
	if len(args) != positional {
		fs.Usage()
		return nil, errUsage
	}
	return args, nil
}

// arguments reads flags wherever they stand and returns the rest. Package flag stops at the first argument that is no
// flag, and people write `config import sygnal FILE -o OUT`.
func arguments(env Env, fs *flag.FlagSet) ([]string, error) {
	var rest []string
	for args := env.Args; ; args = args[1:] {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, errUsage
		}
		read := len(args) - fs.NArg()
		args = fs.Args()
		if len(args) == 0 {
			return rest, nil
		}
		if read > 0 && env.Args[len(env.Args)-len(args)-1] == "--" {
			return append(rest, args...), nil
		}
		rest = append(rest, args[0])
	}
}

// wrong says what is wrong with the arguments of a command.
func wrong(env Env, fs *flag.FlagSet, problem string) error {
	_, _ = fmt.Fprintf(env.Stderr, "%s: %s\n", fs.Name(), problem)
	fs.Usage()
	return errUsage
}
