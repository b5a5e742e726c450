package app

import (
	"context"
	"net/url"

	"github.com/pushgate/pushgate/internal/admin"
	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

// errNoRegistry answers commands about pushers where no role keeps any.
var errNoRegistry = &push.Error{Kind: push.NotFound, Msg: "this process keeps no pushers (roles clientserver and fachdienst do)"}

// pusherList shows what is registered for a person, without pushkeys.
func (a *App) pusherList(ctx context.Context, in admin.Person) (any, error) {
	reg, who, err := a.person(in)
	if err != nil {
		return nil, err
	}
	found, err := reg.pushers.List(ctx, who.Owner())
	if err != nil {
		return nil, err
	}
	out := admin.Pushers{Pushers: []admin.Pusher{}}
	for _, p := range found {
		if in.Device != "" && p.DeviceID != in.Device {
			continue
		}
		out.Pushers = append(out.Pushers, admin.Pusher{
			App: string(p.AppID), Device: p.DeviceID, Kind: p.Kind, Gateway: hostOf(p.URL), Created: p.Created, Updated: p.Updated,
		})
	}
	return out, nil
}

// pusherDelete reports a logout (with a device) or erases a person.
func (a *App) pusherDelete(ctx context.Context, in admin.Person) (any, error) {
	reg, who, err := a.person(in)
	if err != nil {
		return nil, err
	}
	n, err := reg.pushers.Delete(ctx, who.Owner(), in.Device)
	return admin.Done{Count: n}, err
}

func (a *App) person(in admin.Person) (*registry, auth.Identity, error) {
	reg := a.registry.Load()
	if reg == nil {
		return nil, auth.Identity{}, errNoRegistry
	}
	who, err := auth.ParseUser(in.User)
	if err != nil {
		return nil, auth.Identity{}, &push.Error{Kind: push.Invalid, Msg: err.Error(), Err: err}
	}
	return reg, who, nil
}

// hostOf shows where a pusher points without the rest of its URL.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}
