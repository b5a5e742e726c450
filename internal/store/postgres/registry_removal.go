package postgres

import (
	"context"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/store/registry"
)

// Statements that delete several pushers lock them in the order of their numbers first, as all others do.
const (
	lockDoomed      = `WITH doomed AS MATERIALIZED (SELECT id FROM pusher WHERE `
	deleteDoomed    = ` ORDER BY id FOR UPDATE) DELETE FROM pusher USING doomed WHERE pusher.id = doomed.id`
	deleteOfOwner   = lockDoomed + `owner = $1` + deleteDoomed
	deleteOfSession = lockDoomed + `owner = $1 AND session = $2` + deleteDoomed
	// A pushkey has few pushers, so what narrows further is looked up in their rows, once they are locked.
	rejected             = `pushkey = $1 AND gateway = $2 AND updated <= $3`
	deleteRejected       = lockDoomed + rejected + deleteDoomed
	deleteRejectedOfApp  = lockDoomed + rejected + ` AND app_id = $4` + deleteDoomed
	deleteRejectedOfUser = lockDoomed + rejected + ` AND owner = $4` + deleteDoomed
	deleteRejectedOfBoth = lockDoomed + rejected + ` AND app_id = $4 AND owner = $5` + deleteDoomed
)

// DeleteOwner implements pusher.Removal.
func (s *Store) DeleteOwner(ctx context.Context, owner push.Owner, deviceID string) (int, error) {
	c := s.codec()
	hashed := c.Owner(owner)
	if deviceID == "" {
		n, err := s.removePushers(ctx, deleteOfOwner, hashed[:])
		return n, wrap("delete a person's pushers", err)
	}
	n, err := s.removePushers(ctx, deleteOfSession, hashed[:], c.Session(owner, deviceID))
	return n, wrap("delete a session's pushers", err)
}

// DeleteRejected implements pusher.Removal.
func (s *Store) DeleteRejected(ctx context.Context, r pusher.Rejected) (int, error) {
	c := s.codec()
	pushkey, gateway := c.Pushkey(r.Realm, r.Pushkey), c.Gateway(r.Realm, r.URL)
	owner := c.Owner(push.Owner{Realm: r.Realm, User: r.User})
	statement, args := deleteRejected, []any{pushkey[:], gateway[:], registry.Stamp(r.Since)}
	switch {
	case r.AppID != "" && r.User != "":
		statement, args = deleteRejectedOfBoth, append(args, string(r.AppID), owner[:])
	case r.AppID != "":
		statement, args = deleteRejectedOfApp, append(args, string(r.AppID))
	case r.User != "":
		statement, args = deleteRejectedOfUser, append(args, owner[:])
	}
	n, err := s.removePushers(ctx, statement, args...)
	return n, wrap("delete rejected pushers", err)
}
