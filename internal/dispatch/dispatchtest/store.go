package dispatchtest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/monthkey"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

// Store is a registry of pushers with an outbox, in memory. New makes one. It is safe for concurrent use.
type Store struct {
	now func() time.Time

	mu       sync.Mutex
	registry pushertest.Store
	rows     map[int64]*row
	steps    map[pusher.Key]stepped
	once     map[push.Hash]remembered
	lastID   int64
	lastLock push.LeaseID
	fail     error
}

var (
	_ dispatch.Store = (*Store)(nil)
	_ pusher.Store   = (*Store)(nil)
)

type row struct {
	dispatch.Row
	key     pusher.Key
	created time.Time // of the pusher: another registration of the same key is another pusher
	due     time.Time
	until   time.Time // of the lease
}

// stepped is a generation that replaces the one of a registration.
type stepped struct {
	updated time.Time
	to      monthkey.Generation
}

type remembered struct {
	body    push.Hash
	receipt dispatch.Receipt
	at      time.Time
}

// New returns an empty store with this clock; nil is time.Now.
func New(now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	s := &Store{now: now, rows: map[int64]*row{}, steps: map[pusher.Key]stepped{}, once: map[push.Hash]remembered{}}
	s.registry.Now = now
	return s
}

// Fail makes every call return err and change nothing, as a database that is away; nil mends it.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
	s.registry.Fail(err)
}

// Reopen ends all leases, as a restart of the only process does.
func (s *Store) Reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rows {
		r.Lease = 0
	}
}

// Len returns how many rows there are.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cascade()
	return len(s.rows)
}

// Encryption returns the key chain of a pusher, nil when it has none.
func (s *Store) Encryption(key pusher.Key) *pusher.Encryption {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.stored(key)
	if !ok {
		return nil
	}
	return p.Encryption
}

// Payloads returns everything that rows hold, to look for what must not be there.
func (s *Store) Payloads() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all [][]byte
	for _, r := range s.rows {
		all = append(all, r.Payload)
	}
	return all
}

func (s *Store) begin(ctx context.Context) error {
	s.mu.Lock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s.cascade()
	return s.fail
}

// stored returns a pusher with the generation that it has by now.
func (s *Store) stored(key pusher.Key) (pusher.Pusher, bool) {
	p, ok := s.registry.Stored(key)
	if step, is := s.steps[key]; ok && is && p.Encryption != nil && step.updated.Equal(p.Updated) {
		p.Encryption = &pusher.Encryption{KeyID: p.Encryption.KeyID, Generation: step.to}
	}
	return p, ok
}

// cascade deletes the rows whose pusher is gone.
func (s *Store) cascade() {
	maps.DeleteFunc(s.rows, func(_ int64, r *row) bool {
		p, ok := s.registry.Stored(r.key)
		return !ok || !p.Created.Equal(r.created)
	})
}

func (s *Store) leased(r *row) bool { return r.Lease != 0 && r.until.After(s.now()) }

// devices returns the owner's pushers with their choices.
func (s *Store) devices(ctx context.Context, owner push.Owner) ([]dispatch.Device, error) {
	list, err := s.registry.ListPushers(ctx, owner)
	if err != nil {
		return nil, err
	}
	var out []dispatch.Device
	seen := map[push.Pushkey]int{}
	for _, p := range list {
		choices, err := s.registry.ListChoices(ctx, owner, p.Pushkey)
		if err != nil {
			return nil, err
		}
		full, _ := s.stored(p.Key)
		out = append(out, dispatch.Device{Pusher: p, Encrypted: full.Encryption != nil, Choices: choices[seen[p.Pushkey]]})
		seen[p.Pushkey]++ // both lists have one order
	}
	return out, nil
}

// Devices implements dispatch.Store.
func (s *Store) Devices(ctx context.Context, owner push.Owner) ([]dispatch.Device, error) {
	defer s.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	return s.devices(ctx, owner)
}

// Submit implements dispatch.Store.
func (s *Store) Submit(ctx context.Context, sub dispatch.Submission) (dispatch.Submitted, error) {
	defer s.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return dispatch.Submitted{}, err
	}
	now := s.now()
	if sub.Once != nil {
		if old, ok := s.once[sub.Once.Key]; ok && now.Before(old.at.Add(sub.Once.Keep)) {
			if old.body != sub.Once.Body {
				return dispatch.Submitted{}, dispatch.ErrKeyReused
			}
			return dispatch.Submitted{Receipt: old.receipt, Replayed: true}, nil
		}
	}
	devices, err := s.devices(ctx, sub.Owner)
	if err != nil {
		return dispatch.Submitted{}, err
	}
	plan, err := sub.Plan(devices)
	if err != nil {
		return dispatch.Submitted{}, err
	}
	out := dispatch.Submitted{Receipt: plan.Receipt}
	for _, n := range plan.Rows {
		p := devices[n.Device].Pusher
		if n.HasCounts {
			out.Replaced += s.dropBadges(p.Key)
		}
		s.lastID++
		r := &row{key: p.Key, created: p.Created, due: now, Row: dispatch.Row{
			Payload: slices.Clone(n.Payload), BadgeOnly: n.BadgeOnly, HasCounts: n.HasCounts, Accepted: now, Deadline: n.Deadline,
		}}
		r.ID = s.lastID
		s.rows[r.ID] = r
	}
	if sub.Once != nil {
		s.once[sub.Once.Key] = remembered{body: sub.Once.Body, receipt: plan.Receipt, at: now}
	}
	return out, nil
}

func (s *Store) dropBadges(key pusher.Key) int {
	before := len(s.rows)
	maps.DeleteFunc(s.rows, func(_ int64, r *row) bool { return r.key == key && r.BadgeOnly && !s.leased(r) })
	return before - len(s.rows)
}

// sorted returns rows by due time and id.
func (s *Store) sorted(which func(r *row, p pusher.Pusher) bool) []*row {
	var out []*row
	for _, r := range s.rows {
		if p, ok := s.stored(r.key); ok && which(r, p) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *row) int { return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.ID, b.ID)) })
	return out
}

// Claim implements dispatch.Store.
func (s *Store) Claim(ctx context.Context, g dispatch.Gateway, limit int, lease time.Duration) (dispatch.Claimed, error) {
	defer s.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return dispatch.Claimed{}, err
	}
	now := s.now()
	busy := map[pusher.Key]bool{}
	for _, r := range s.rows {
		busy[r.key] = busy[r.key] || s.leased(r)
	}
	out := dispatch.Claimed{At: now}
	for _, r := range s.sorted(func(r *row, p pusher.Pusher) bool {
		return p.Owner.Realm == g.Realm && p.URL == g.URL && !s.leased(r) && now.Before(r.Deadline)
	}) {
		if len(out.Rows) < limit && !r.due.After(now) && !busy[r.key] {
			busy[r.key] = true
			s.lastLock++
			r.Lease, r.until = s.lastLock, now.Add(lease)
			claimed := r.Row
			claimed.Pusher, _ = s.stored(r.key)
			out.Rows = append(out.Rows, claimed)
		} else if out.Next.IsZero() {
			out.Next = r.due
		}
	}
	return out, nil
}

// held returns the row while it is held under this lease.
func (s *Store) held(h push.Held) *row {
	if r := s.rows[h.ID]; r != nil && h.Lease != 0 && r.Lease == h.Lease {
		return r
	}
	return nil
}

// Renew implements dispatch.Store.
func (s *Store) Renew(ctx context.Context, held []push.Held, lease time.Duration) ([]bool, error) {
	defer s.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	out := make([]bool, len(held))
	for i, h := range held {
		if r := s.held(h); r != nil {
			r.until, out[i] = s.now().Add(lease), true
		}
	}
	return out, nil
}

// Settle implements dispatch.Store.
func (s *Store) Settle(ctx context.Context, done []dispatch.Settlement) ([]bool, error) {
	defer s.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	out := make([]bool, len(done))
	for i, d := range done {
		r := s.held(d.Held)
		if r == nil {
			continue
		}
		out[i] = true
		if d.Due.IsZero() || r.BadgeOnly && s.newerCounts(r) {
			delete(s.rows, r.ID)
			continue
		}
		r.Lease, r.due, r.Attempts, r.Refusals = 0, d.Due, d.Attempts, d.Refusals
	}
	return out, nil
}

func (s *Store) newerCounts(old *row) bool {
	for _, r := range s.rows {
		if r.key == old.key && r.ID > old.ID && r.HasCounts {
			return true
		}
	}
	return false
}

// Release implements dispatch.Store.
func (s *Store) Release(ctx context.Context, held []push.Held) error {
	defer s.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return err
	}
	for _, h := range held {
		if r := s.held(h); r != nil {
			r.Lease = 0
		}
	}
	return nil
}

// Gateways implements dispatch.Store.
func (s *Store) Gateways(ctx context.Context) ([]dispatch.Waiting, error) {
	defer s.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	at := map[dispatch.Gateway]*dispatch.Waiting{}
	for _, r := range s.sorted(func(*row, pusher.Pusher) bool { return true }) {
		p, _ := s.stored(r.key)
		g := dispatch.Gateway{Realm: p.Owner.Realm, URL: p.URL}
		w := at[g]
		if w == nil {
			w = &dispatch.Waiting{Gateway: g, Oldest: r.Accepted}
			at[g] = w
		}
		w.Rows++
		if r.Accepted.Before(w.Oldest) {
			w.Oldest = r.Accepted
		}
		if w.Next.IsZero() && !s.leased(r) {
			w.Next = r.due
		}
	}
	var out []dispatch.Waiting
	for _, w := range at {
		out = append(out, *w)
	}
	return out, nil
}

// Expire implements dispatch.Store.
func (s *Store) Expire(ctx context.Context, limit int) (int, error) {
	defer s.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	n := 0
	for id, r := range s.rows {
		if n < limit && !s.leased(r) && !s.now().Before(r.Deadline) {
			delete(s.rows, id)
			n++
		}
	}
	return n, nil
}

// StepKeys implements dispatch.Store.
func (s *Store) StepKeys(ctx context.Context, steps []dispatch.KeyStep) ([]bool, error) {
	defer s.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	out := make([]bool, len(steps))
	for i, step := range steps {
		p, ok := s.stored(step.Key)
		if ok && p.Encryption != nil && p.Updated.Equal(step.Updated) && p.Encryption.Generation.Month() == step.From {
			s.steps[step.Key], out[i] = stepped{updated: p.Updated, to: step.To}, true
		}
	}
	return out, nil
}
