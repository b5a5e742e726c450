package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

var errStoreDown = errors.New("fake store is down")

// fakeStore keeps the promises of store.Queue and store.Ledger in memory. Several nodes may share one; kill forgets
// nothing but who holds which row, as a real one does when a process dies.
type fakeStore struct {
	mu       sync.Mutex
	rows     map[int64]*fakeRow
	nextID   int64
	nextHold push.LeaseID
	dead     map[push.Hash]push.DeadKey
	seq      int64
	settings map[push.AppID]push.Hash
	calls    map[string]int

	owned  bool          // by one process: then leases live in its memory, and only writes can fail
	down   bool          // every call fails
	full   bool          // writes that need room fail
	slow   time.Duration // every call takes that long, or until its ctx ends
	stuck  time.Duration // every write takes that long once it has begun, whatever its ctx says
	heard  func()        // runs once: a claim has found rows, and the one who claims is about to hear of them
	stored []push.Queued // everything that was ever written, to look for payloads
}

type fakeRow struct {
	push.Queued
	until time.Time // of the lease
}

func newFakeStore() *fakeStore {
	return &fakeStore{rows: map[int64]*fakeRow{}, dead: map[push.Hash]push.DeadKey{}, settings: map[push.AppID]push.Hash{}, calls: map[string]int{}}
}

// node is one process's view. changed is nil for a database of its own.
type node struct {
	*fakeStore
	changed chan struct{}
}

func (s *fakeStore) own() *node {
	s.owned = true
	return &node{fakeStore: s}
}

func (s *fakeStore) shared() *node { return &node{fakeStore: s, changed: make(chan struct{}, 1)} }

func (s *fakeStore) set(change func(s *fakeStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// endLeases is what a database of one process does when that process starts.
func (s *fakeStore) endLeases() {
	s.set(func(s *fakeStore) {
		for _, r := range s.rows {
			r.Lease, r.until = 0, time.Time{}
		}
	})
}

func (s *fakeStore) count(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call]
}

func (s *fakeStore) all() []push.Queued {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []push.Queued
	for _, id := range slices.Sorted(maps.Keys(s.rows)) {
		rows = append(rows, s.rows[id].Queued)
	}
	return rows
}

// ledger returns the entries that stand.
func (s *fakeStore) ledger() []push.DeadKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []push.DeadKey
	for _, d := range s.dead {
		if !d.Cleared {
			out = append(out, d)
		}
	}
	return out
}

// begin counts a call, delays it and fails it as told; on nil the store is locked.
func (s *fakeStore) begin(ctx context.Context, call string, needsRoom bool) error {
	s.mu.Lock()
	s.calls[call]++
	slow, stuck := s.slow, s.stuck
	s.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if needsRoom {
		time.Sleep(stuck)
	}
	s.mu.Lock()
	if p, ok := ctx.Value(processKey{}).(*process); ok && p.killed.Load() {
		s.mu.Unlock()
		return errStoreDown // a dead process commits nothing
	}
	inMemory := s.owned && (call == "renew" || call == "release")
	if s.down && !inMemory || needsRoom && s.full {
		s.mu.Unlock()
		return errStoreDown
	}
	return nil
}

func (r *fakeRow) leased(now time.Time) bool { return r.Lease != 0 && r.until.After(now) }

func (s *fakeStore) hold(r *fakeRow, lease time.Duration) {
	s.nextHold++
	r.Lease, r.until = s.nextHold, time.Now().Add(lease)
}

func (s *fakeStore) Enqueue(ctx context.Context, rows []push.Queued, lease time.Duration) ([]push.Enqueued, error) {
	if err := s.begin(ctx, "enqueue", true); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := time.Now()
	out := make([]push.Enqueued, len(rows))
	for i, q := range rows {
		if !q.Dedup.IsZero() && s.find(func(r *fakeRow) bool { return r.Dedup == q.Dedup }) != nil {
			out[i].State = push.EnqueueDuplicate
			continue
		}
		out[i].State = push.EnqueueStored
		if q.BadgeOnly {
			old := s.find(func(r *fakeRow) bool {
				return r.BadgeOnly && r.Device == q.Device && !r.leased(now) && !s.superseded(r)
			})
			if old != nil {
				delete(s.rows, old.ID)
				out[i].State = push.EnqueueReplaced
			}
		}
		s.nextID++
		q.ID = s.nextID
		r := &fakeRow{Queued: q}
		if q.UnderWay {
			s.hold(r, lease)
		}
		r.UnderWay = false
		s.rows[q.ID] = r
		s.stored = append(s.stored, q)
		out[i].ID, out[i].Lease = q.ID, r.Lease
	}
	return out, nil
}

func (s *fakeStore) find(fits func(*fakeRow) bool) *fakeRow {
	for _, r := range s.rows {
		if fits(r) {
			return r
		}
	}
	return nil
}

// superseded reports whether a row is badge-only and has a newer one.
func (s *fakeStore) superseded(r *fakeRow) bool {
	return r.BadgeOnly && s.find(func(o *fakeRow) bool { return o.BadgeOnly && o.Device == r.Device && o.ID > r.ID }) != nil
}

func (s *fakeStore) Claim(ctx context.Context, app push.AppID, limit int, lease time.Duration) ([]push.Queued, error) {
	if err := s.begin(ctx, "claim", false); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := time.Now()
	busy := map[push.Hash]bool{}
	var due []*fakeRow
	for _, r := range s.rows {
		if r.leased(now) {
			busy[r.Device] = true
		} else if s.superseded(r) {
			r.Deadline = earliest(r.Deadline, now) // left to Expire
		} else if r.AppID == app && !r.Due.After(now) && r.Deadline.After(now) {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *fakeRow) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID)) })
	var out []push.Queued
	for _, r := range due {
		if len(out) == limit || busy[r.Device] {
			continue
		}
		busy[r.Device] = true
		s.hold(r, lease)
		out = append(out, r.Queued)
	}
	if do := s.heard; do != nil && len(out) > 0 {
		s.heard = nil
		s.mu.Unlock()
		defer s.mu.Lock()
		do()
	}
	return out, nil
}

func (s *fakeStore) holds(h push.Held) *fakeRow {
	if r := s.rows[h.ID]; r != nil && r.Lease == h.Lease && r.leased(time.Now()) {
		return r
	}
	return nil
}

func (s *fakeStore) Renew(ctx context.Context, held []push.Held, lease time.Duration) ([]bool, error) {
	if err := s.begin(ctx, "renew", false); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out := make([]bool, len(held))
	for i, h := range held {
		if r := s.holds(h); r != nil {
			r.until, out[i] = time.Now().Add(lease), true
		}
	}
	return out, nil
}

func (s *fakeStore) Settle(ctx context.Context, done []push.Settlement) ([]bool, error) {
	if err := s.begin(ctx, "settle", true); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out := make([]bool, len(done))
	for i, d := range done {
		r := s.holds(d.Held)
		if r == nil {
			continue
		}
		out[i] = true
		if d.Dead != nil {
			s.record(*d.Dead)
		}
		r.Lease, r.Due, r.Attempts, r.StaleDead = 0, d.Due, d.Attempts, d.StaleDead
		if d.Due.IsZero() {
			delete(s.rows, d.ID)
		}
	}
	return out, nil
}

func (s *fakeStore) Release(ctx context.Context, held []push.Held) error {
	if err := s.begin(ctx, "release", false); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, h := range held {
		if r := s.holds(h); r != nil {
			r.Lease = 0
		}
	}
	return nil
}

// drop deletes unleased rows that fit, and counts them.
func (s *fakeStore) drop(limit int, fits func(*fakeRow) bool) map[push.AppID]int {
	now, n, gone := time.Now(), 0, map[push.AppID]int{}
	for id, r := range s.rows {
		if n < limit && !r.leased(now) && fits(r) {
			delete(s.rows, id)
			gone[r.AppID]++
			n++
		}
	}
	return gone
}

func (s *fakeStore) DropBadges(ctx context.Context, before map[push.Hash]time.Time) (map[push.AppID]int, error) {
	if err := s.begin(ctx, "dropbadges", false); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.drop(len(s.rows), func(r *fakeRow) bool {
		return r.BadgeOnly && r.Accepted.Before(before[r.Device])
	}), nil
}

func (s *fakeStore) Expire(ctx context.Context, limit int) (map[push.AppID]int, error) {
	if err := s.begin(ctx, "expire", false); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := time.Now()
	return s.drop(limit, func(r *fakeRow) bool { return !r.Deadline.After(now) }), nil
}

func (s *fakeStore) Backlog(ctx context.Context) ([]push.Backlog, error) {
	if err := s.begin(ctx, "backlog", false); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := time.Now()
	busy := map[push.Hash]bool{}
	for _, r := range s.rows {
		busy[r.Device] = busy[r.Device] || r.leased(now)
	}
	by := map[push.AppID]*push.Backlog{}
	for _, r := range s.rows {
		b := by[r.AppID]
		if b == nil {
			b = &push.Backlog{AppID: r.AppID}
			by[r.AppID] = b
		}
		b.Rows++
		b.Oldest = earliest(b.Oldest, r.Accepted)
		if !busy[r.Device] {
			b.Next = earliest(b.Next, r.Due)
		}
	}
	var out []push.Backlog
	for _, b := range by {
		out = append(out, *b)
	}
	return out, nil
}

func (s *fakeStore) Waiting(ctx context.Context, each func(push.Queued)) error {
	if err := s.begin(ctx, "waiting", false); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, r := range s.rows {
		q := r.Queued
		q.Payload = nil
		each(q)
	}
	return nil
}

func (s *fakeStore) WakeOn(ctx context.Context, app push.AppID) error {
	if err := s.begin(ctx, "wake", false); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, r := range s.rows {
		if r.AppID == app {
			r.Due = time.Now()
		}
	}
	return nil
}

func (s *fakeStore) Ping(ctx context.Context) error {
	err := s.begin(ctx, "ping", true)
	if err == nil {
		s.mu.Unlock()
	}
	return err
}

func (s *fakeStore) record(d push.DeadKey) {
	if old, ok := s.dead[d.Device]; ok && !old.Cleared && old.Since.After(d.Since) {
		return
	}
	s.seq++
	d.Seq, d.Recorded, d.Cleared = s.seq, time.Now(), false
	s.dead[d.Device] = d
}

func (s *fakeStore) clear(device push.Hash) {
	if d, ok := s.dead[device]; ok && !d.Cleared {
		s.seq++
		d.Seq, d.Cleared = s.seq, true
		s.dead[device] = d
	}
}

func (s *fakeStore) Record(ctx context.Context, dead []push.DeadKey) error {
	if err := s.begin(ctx, "record", true); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, d := range dead {
		s.record(d)
	}
	return nil
}

func (s *fakeStore) Clear(ctx context.Context, _ push.AppID, device push.Hash) error {
	if err := s.begin(ctx, "clear", true); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.clear(device)
	return nil
}

func (s *fakeStore) Changes(ctx context.Context, after int64, limit int) ([]push.DeadKey, error) {
	if err := s.begin(ctx, "changes", false); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []push.DeadKey
	for _, d := range s.dead {
		if d.Seq > after {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b push.DeadKey) int { return cmp.Compare(a.Seq, b.Seq) })
	return out[:min(len(out), limit)], nil
}

func (n *node) Changed() <-chan struct{} {
	if n.changed == nil {
		return nil
	}
	return n.changed
}

func (s *fakeStore) Settings(ctx context.Context, app push.AppID, fingerprint push.Hash) error {
	if err := s.begin(ctx, "settings", true); err != nil {
		return err
	}
	defer s.mu.Unlock()
	old, known := s.settings[app]
	for device, d := range s.dead {
		if d.AppID == app && d.Guarded && (known && old != fingerprint || d.Settings != fingerprint) {
			s.clear(device)
		}
	}
	s.settings[app] = fingerprint
	return nil
}

func (s *fakeStore) Prune(ctx context.Context, t time.Time) error {
	if err := s.begin(ctx, "prune", false); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for device, d := range s.dead {
		if d.Recorded.Before(t) {
			delete(s.dead, device)
		}
	}
	return nil
}

// fakeHasher frames parts by length, as the contract demands.
type fakeHasher struct{}

func (fakeHasher) Hash(purpose string, parts ...string) push.Hash {
	h := sha256.New()
	for _, p := range append([]string{purpose}, parts...) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		h.Write(size[:])
		h.Write([]byte(p))
	}
	return push.Hash(h.Sum(nil)[:16])
}
