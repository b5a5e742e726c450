// Command pushgate is the push gateway: flags and signals here, everything else in internal/cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // month keys follow Europe/Berlin, also where the machine has no zone files

	"github.com/pushgate/pushgate/internal/cli"
)

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	reload := make(chan os.Signal, 1)
	switch serve := len(os.Args) > 1 && os.Args[1] == "serve"; {
	case serve:
		signal.Notify(reload, syscall.SIGHUP)
		signal.Ignore(syscall.SIGPIPE) // whoever reads the log may end; writing it fails then, and the gateway goes on
	case !signal.Ignored(syscall.SIGHUP): // nohup ignores it
		ends = append(ends, syscall.SIGHUP) // the terminal is closed: end as after Ctrl-C, with nothing left behind
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop) // whoever asks twice does not want to wait: the second signal ends the process at once
	code := cli.Run(ctx, cli.Env{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Reload: reload})
	stop()
	os.Exit(code)
}
