//go:build numbers

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestSend_Numbers measures the loop and asserts no time; make bench runs it. Sender, gateway, simulator and the backend share the machine.
func TestSend_Numbers(t *testing.T) {
	const (
		rate, seconds = 620, 10
		backlog       = 100_000
		callers       = 64
	)
	var users []string
	for i := range 1000 {
		users = append(users, fmt.Sprintf("kvnr:X1104%05d", i))
	}
	l := newLoop(t, loopOptions{users: users, sim: []string{"-brief", "-keep", "-1"}})
	for i, user := range users {
		l.enroll(t, user, newPhone(erpIOS, fmt.Sprintf("%064x", 0xabcd0000+i), thisMonth(t, 0)), erpActivate)
	}
	url := "https://" + l.addr["tls"] + submitPath
	// send submits n events, each when due says, by callers that wait for one answer at a time.
	send := func(n int, due func(i int) time.Time) (took []time.Duration, all time.Duration) {
		work := make(chan int)
		var mu sync.Mutex
		var group sync.WaitGroup
		began := time.Now()
		for range callers {
			group.Go(func() {
				for i := range work {
					at := due(i)
					if at.IsZero() {
						at = time.Now()
					}
					a, err := l.do(l.backend, "", http.MethodPost, url, "", notice(users[i%len(users)], erpActivate, fmt.Sprintf(`{"Identifier":"%d","IdentifierType":"TaskId"}`, i), ""))
					mu.Lock()
					took = append(took, time.Since(at)) // from when it was due: a queue in front of us counts
					if err != nil || a.Status != http.StatusAccepted {
						t.Error(err, a.Status, a.Body)
					}
					mu.Unlock()
				}
			})
		}
		for i := range n {
			if wait := time.Until(due(i)); wait > 0 {
				<-time.After(wait)
			}
			work <- i
		}
		close(work)
		group.Wait()
		slices.Sort(took)
		return took, time.Since(began)
	}

	began := time.Now()
	took, all := send(rate*seconds, func(i int) time.Time { return began.Add(time.Duration(i) * time.Second / rate) })
	l.sim.Delivered(t, rate*seconds)
	t.Logf("ingest: %d events in %v (%.0f/s), p50 %v, p99 %v, max %v; all delivered %v after the first was due", len(took), all,
		float64(len(took))/all.Seconds(), took[len(took)/2], took[len(took)*99/100], took[len(took)-1], time.Since(began))

	l.gateway.Kill()
	l.gateway.Wait(t)
	took, all = send(backlog, func(int) time.Time { return time.Time{} })
	t.Logf("fill: %d events in %v (%.0f/s), p50 %v, p99 %v", backlog, all, backlog/all.Seconds(), took[len(took)/2], took[len(took)*99/100])
	l.gateway.Up(t)
	start, before := time.Now(), float64(0)
	for quarter := range 4 {
		l.sim.Delivered(t, uint64(rate*seconds+(quarter+1)*backlog/4))
		now := time.Since(start).Seconds()
		t.Logf("drain: quarter %d at %.0f/s", quarter+1, backlog/4/(now-before))
		before = now
	}
}
