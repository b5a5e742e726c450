package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/simulator"
)

// TestSend_KillsLoseNothing kills sender or gateway, at random moments, under a stream of events. Every event that was
// answered 202 arrives; nothing arrives twice beyond what was in flight at a kill; no device is deleted but the dead one.
//
// Six kills, or a hundred with FAULTS=full; then also on PostgreSQL, where the leases of a killed sender last up to a minute.
func TestSend_KillsLoseNothing(t *testing.T) {
	t.Parallel()
	if os.Getenv("FAULTS") != "full" {
		killLoop(t, "", 6, time.Minute)
		return
	}
	t.Run("sqlite", func(t *testing.T) { killLoop(t, "", 100, time.Minute) })
	t.Run("postgres", func(t *testing.T) { killLoop(t, postgresStorage(t), 20, 3*time.Minute) })
}

// stream submits events until it is stopped, each until it is answered 202.
type stream struct {
	l        *loop
	base     atomic.Pointer[string] // where the sender is
	stopped  chan struct{}
	workers  sync.WaitGroup
	mu       sync.Mutex
	accepted map[string]string // event to user
	refused  []string          // answers that are neither 202 nor a reason to try again
}

func startStream(l *loop, users []string) *stream {
	s := &stream{l: l, stopped: make(chan struct{}), accepted: map[string]string{}}
	s.moved()
	for w := range 3 {
		s.workers.Go(func() {
			pace := time.NewTicker(25 * time.Millisecond)
			defer pace.Stop()
			for n := 0; ; n++ {
				select {
				case <-s.stopped:
					return
				case <-pace.C:
				}
				s.event(fmt.Sprintf("event-%d-%d", w, n), users[rand.IntN(len(users))])
			}
		})
	}
	return s
}

// moved notes where the sender listens now.
func (s *stream) moved() { s.base.Store(new(s.l.addr["tls"])) }

// event submits one until it is accepted, or the stream ends: then nobody was promised anything.
func (s *stream) event(id, user string) {
	body := notice(user, erpActivate, fmt.Sprintf(`{"Identifier":%q}`, id), "")
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		a, err := s.l.do(s.l.backend, "", http.MethodPost, "https://"+*s.base.Load()+submitPath, id, body)
		switch {
		case err == nil && a.Status == http.StatusAccepted:
			s.mu.Lock()
			s.accepted[id] = user
			s.mu.Unlock()
			return
		case err == nil && a.Status != http.StatusServiceUnavailable:
			s.mu.Lock()
			s.refused = append(s.refused, fmt.Sprint(a.Status, " ", a.Body))
			s.mu.Unlock()
			return
		}
		select {
		case <-s.stopped:
			return
		case <-again.C:
		}
	}
}

func (s *stream) stop() {
	close(s.stopped)
	s.workers.Wait()
}

// tally is what arrived, by event.
type tally struct {
	phones map[string]phone // by token
	seen   uint64
	count  map[string]int
	wrong  []string
}

func (a *tally) read(t testing.TB, l *loop) {
	t.Helper()
	for _, r := range l.sim.LogSince(t, a.seen) {
		a.seen = max(a.seen, r.Seq)
		if !r.Delivered {
			continue
		}
		text, err := a.phones[r.Token].open(r)
		var m struct{ Identifier string }
		if err == nil {
			err = json.Unmarshal([]byte(text), &m)
		}
		if err != nil {
			a.wrong = append(a.wrong, fmt.Sprintf("receipt %d: %v", r.Seq, err))
			continue
		}
		a.count[m.Identifier]++
	}
}

func killLoop(t *testing.T, storage string, kills int, patience time.Duration) {
	var users []string
	for i := range 20 {
		users = append(users, fmt.Sprintf("kvnr:X1104%05d", i))
	}
	l := newLoop(t, loopOptions{storage: storage, users: users, sim: []string{"-keep", "0", "-latency", "100ms"}})
	arrived := &tally{phones: map[string]phone{}, count: map[string]int{}}
	for i, user := range users {
		p := newPhone(erpIOS, fmt.Sprintf("%064x", 0xabcd0000+i), thisMonth(t, i%3))
		if i%2 == 1 {
			p.app = erpAndroid
		}
		arrived.phones[p.key] = p
		l.enroll(t, user, p, erpActivate)
	}
	dead := newPhone(erpAndroid, "dead:APA91bHPRgkF3JUikC4ENAHEeMrd41Zxv3hVZjC9KtT8OvPVGJ", thisMonth(t, 0))
	l.enroll(t, users[1], dead, erpActivate)
	require.NoError(t, l.sim.Script(t.Context(), simulator.FCM, dead.key, simulator.Answer{Reason: "UNREGISTERED", Times: simulator.Forever}))

	s := startStream(l, users)
	for range kills {
		pause := time.NewTimer(time.Duration(200+rand.IntN(600)) * time.Millisecond)
		<-pause.C
		if rand.IntN(2) == 0 {
			l.gateway.Kill()
			l.gateway.Wait(t)
			l.gateway.Up(t)
			continue
		}
		l.restart(t)
		s.moved()
	}
	s.stop()
	require.Empty(t, s.refused)
	require.NotEmpty(t, s.accepted)

	lost := func() (ids []string) {
		for id := range s.accepted {
			if arrived.count[id] == 0 {
				ids = append(ids, id)
			}
		}
		return ids
	}
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-look.C {
		if arrived.read(t, l); len(lost()) == 0 {
			break
		}
	}
	require.Empty(t, lost(), "of %d accepted events", len(s.accepted))
	l.settled(t)
	arrived.read(t, l)
	require.Empty(t, arrived.wrong, "everything that arrives can be read, by the phone that it is for")

	twice := 0
	for _, n := range arrived.count {
		twice += n - 1
	}
	t.Logf("%d kills, %d events accepted, %d arrived twice", kills, len(s.accepted), twice)
	require.LessOrEqual(t, twice, kills*len(users), "one row of a device is in flight at a time")
	for i, user := range users {
		pushers := l.app(t, user, http.MethodGet, "/push/v1/pushers", "")
		require.Equal(t, 1, strings.Count(pushers, `"pushkey"`), "user %d: the dead device goes, and only that: %s", i, pushers)
		require.NotContains(t, pushers, dead.key)
	}
}
