package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/pushgate/pushgate/internal/admin"
)

// runPusher looks at and removes a person's registrations. A token that stops working removes nothing by itself
// (design 7), so whoever knows of a logout says so here.
func runPusher(ctx context.Context, env Env) error {
	verb, args := firstWord(env.Args)
	f := newAdminFlags(env, "pusher "+verb, "--user U [--device D]")
	var who admin.Person
	f.fs.StringVar(&who.User, "user", "", "@user:server, kvnr:X110400000 or telematik-id:...")
	f.fs.StringVar(&who.Device, "device", "", "only this session")
	if verb != "list" && verb != "delete" {
		return wrongVerb(env, "pusher", "list or delete")
	}
	if err := f.parse(env, args); err != nil {
		return err
	}
	if who.User == "" || f.fs.NArg() > 0 {
		f.fs.Usage()
		return errUsage
	}
	if verb == "delete" {
		return f.act(ctx, env, admin.CommandPusherDelete, who, "removed, with channel choices and keys")
	}
	var out admin.Pushers
	if err := f.call(ctx, admin.CommandPusherList, who, &out); err != nil {
		return err
	}
	return f.print(env.Stdout, out, func(w io.Writer) {
		_, _ = fmt.Fprintln(w, "APP\tSESSION\tGATEWAY\tCREATED\tUPDATED")
		for _, p := range out.Pushers {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.App, orDash(p.Device), p.Gateway, clock(p.Created), clock(p.Updated))
		}
	})
}
