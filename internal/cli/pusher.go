package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/pushgate/pushgate/internal/admin"
)

func runPusherList(ctx context.Context, env Env) error {
	f, who, err := personFlags(env, "pusher list")
	if err != nil {
		return err
	}
	return ask(ctx, env, f, admin.CommandPusherList, who, printPushers)
}

// runPusherDelete removes a person's registrations. A token that stops working removes nothing by itself (design 7), so
// whoever knows of a logout says so here.
func runPusherDelete(ctx context.Context, env Env) error {
	f, who, err := personFlags(env, "pusher delete")
	if err != nil {
		return err
	}
	return ask(ctx, env, f, admin.CommandPusherDelete, who, counted("removed, with channel choices and keys"))
}

// personFlags reads whose registrations are meant.
func personFlags(env Env, name string) (*adminFlags, admin.Person, error) {
	f := newAdminFlags(env, name, "--user USER [flags]")
	var who admin.Person
	f.fs.StringVar(&who.User, "user", "", "@user:server, kvnr:X110400000 or telematik-id:...")
	f.fs.StringVar(&who.Device, "device", "", "only this session")
	if _, err := parse(env, f.fs, 0); err != nil {
		return nil, who, err
	}
	if who.User == "" {
		return nil, who, wrong(env, f.fs, "needs --user")
	}
	return f, who, nil
}

func printPushers(w io.Writer, list admin.Pushers) {
	_, _ = fmt.Fprintln(w, "APP\tSESSION\tGATEWAY\tCREATED\tUPDATED")
	for _, p := range list.Pushers {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.App, orDash(p.Device), p.Gateway, clock(p.Created), clock(p.Updated))
	}
}
