package sqlite

import (
	"context"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/store/registry"
)

const (
	deleteOfOwner   = `DELETE FROM pusher WHERE owner = ?`
	deleteOfSession = `DELETE FROM pusher WHERE owner = ? AND session = ?`
	// A pushkey has few pushers, so what narrows further is looked up in their rows.
	deleteRejected       = `DELETE FROM pusher WHERE pushkey = ? AND gateway = ? AND updated <= ?`
	deleteRejectedOfApp  = deleteRejected + ` AND app_id = ?`
	deleteRejectedOfUser = deleteRejected + ` AND owner = ?`
	deleteRejectedOfBoth = deleteRejected + ` AND app_id = ? AND owner = ?`
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
