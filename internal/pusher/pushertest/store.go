package pushertest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// Store is a pusher.Store in memory. The zero value is empty and ready. It is safe for concurrent use.
type Store struct {
	// Now stamps Created and Updated; nil means time.Now. Set it before the first call.
	Now func() time.Time

	mu   sync.Mutex
	rows map[pusher.Key]*row
	fail error
}

type row struct {
	pusher  pusher.Pusher
	choices map[string]pusher.ChannelStatus
}

var _ pusher.Store = (*Store)(nil)

// Fail makes every call return err and change nothing, as a database that is away; nil mends it.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// Stored returns a pusher as it is stored, Encryption included, and whether it is there.
func (s *Store) Stored(key pusher.Key) (pusher.Pusher, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.rows[key]
	if !ok {
		return pusher.Pusher{}, false
	}
	return r.pusher, true
}

// ListPushers implements pusher.Store.
func (s *Store) ListPushers(ctx context.Context, owner push.Owner) ([]pusher.Pusher, error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	var list []pusher.Pusher
	for _, r := range s.match(func(p pusher.Pusher) bool { return p.Owner == owner }) {
		p := r.pusher
		p.Encryption = nil
		list = append(list, p)
	}
	return list, nil
}

// SetPusher implements pusher.Store.
func (s *Store) SetPusher(ctx context.Context, r pusher.Registration) error {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return err
	}
	p := r.Pusher
	p.Data = slices.Clone(p.Data)
	p.Updated = s.now()
	p.Created = p.Updated
	choices := map[string]pusher.ChannelStatus{}
	if old, ok := s.rows[p.Key]; ok {
		p.Created = old.pusher.Created
		p.DeviceID = cmp.Or(old.pusher.DeviceID, p.DeviceID)
		if !p.Updated.After(old.pusher.Updated) {
			p.Updated = old.pusher.Updated.Add(time.Microsecond)
		}
		choices = old.choices
	}
	if r.Evict {
		s.remove(func(o pusher.Pusher) bool {
			return o.Owner.Realm == p.Owner.Realm && o.Owner.User != p.Owner.User && o.AppID == p.AppID && o.Pushkey == p.Pushkey
		})
	}
	if s.rows == nil {
		s.rows = map[pusher.Key]*row{}
	}
	s.rows[p.Key] = &row{pusher: p, choices: choices}
	return nil
}

// DeletePusher implements pusher.Store.
func (s *Store) DeletePusher(ctx context.Context, key pusher.Key) (bool, error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return false, err
	}
	return s.remove(func(p pusher.Pusher) bool { return p.Key == key }) == 1, nil
}

// ListChoices implements pusher.Store.
func (s *Store) ListChoices(ctx context.Context, owner push.Owner, k push.Pushkey) ([]map[string]pusher.ChannelStatus, error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	var list []map[string]pusher.ChannelStatus
	for _, r := range s.match(func(p pusher.Pusher) bool { return p.Owner == owner && p.Pushkey == k }) {
		list = append(list, maps.Clone(r.choices))
	}
	return list, nil
}

// ChooseChannels implements pusher.Store.
func (s *Store) ChooseChannels(ctx context.Context, owner push.Owner, k push.Pushkey, chosen map[string]pusher.ChannelStatus) error {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return err
	}
	rows := s.match(func(p pusher.Pusher) bool { return p.Owner == owner && p.Pushkey == k })
	if len(rows) == 0 {
		return pusher.ErrUnknownPushkey
	}
	for _, r := range rows {
		maps.Copy(r.choices, chosen)
	}
	return nil
}

// DeleteOwner implements pusher.Store.
func (s *Store) DeleteOwner(ctx context.Context, owner push.Owner, deviceID string) (int, error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	return s.remove(func(p pusher.Pusher) bool {
		return p.Owner == owner && (deviceID == "" || p.DeviceID == deviceID)
	}), nil
}

// DeleteRejected implements pusher.Store.
func (s *Store) DeleteRejected(ctx context.Context, r pusher.Rejected) (int, error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	return s.remove(func(p pusher.Pusher) bool {
		return p.Owner.Realm == r.Realm && p.Pushkey == r.Pushkey && p.URL == r.URL &&
			(r.AppID == "" || p.AppID == r.AppID) &&
			(r.User == "" || p.Owner.User == r.User) &&
			!p.Updated.After(r.Since)
	}), nil
}

// lock takes the mutex, which the caller gives back in any case.
func (s *Store) lock(ctx context.Context) error {
	s.mu.Lock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.fail
}

func (s *Store) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return s.Now().UTC().Truncate(time.Microsecond)
}

// match returns rows in the order of ListPushers.
func (s *Store) match(which func(pusher.Pusher) bool) []*row {
	var found []*row
	for _, r := range s.rows {
		if which(r.pusher) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *row) int {
		return cmp.Or(a.pusher.Created.Compare(b.pusher.Created), cmp.Compare(a.pusher.AppID, b.pusher.AppID),
			cmp.Compare(a.pusher.Pushkey.Reveal(), b.pusher.Pushkey.Reveal()))
	})
	return found
}

func (s *Store) remove(which func(pusher.Pusher) bool) int {
	before := len(s.rows)
	maps.DeleteFunc(s.rows, func(_ pusher.Key, r *row) bool { return which(r.pusher) })
	return before - len(s.rows)
}
