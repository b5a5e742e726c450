package gateway

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func TestSlots_FirstComeFirstServed(t *testing.T) {
	t.Parallel()
	s := newSlots(2)
	require.True(t, s.try())
	require.True(t, s.try())
	require.False(t, s.try())
	a, b, c := s.line(true), s.line(false), s.line(true)
	isReady := func(w *waiter) bool {
		select {
		case <-w.ready:
			return true
		default:
			return false
		}
	}
	used, waiting := s.counts()
	require.Equal(t, 2, used)
	require.Equal(t, 2, waiting, "the worker's place is no overload")
	s.release()
	require.True(t, isReady(a))
	require.False(t, isReady(b))
	require.False(t, s.try(), "nobody overtakes the line")
	s.abandon(b)
	s.release()
	require.True(t, isReady(c))
	s.abandon(c) // it had a slot by then
	s.release()
	require.Equal(t, 2, s.free())
	require.True(t, isReady(s.line(true)), "a free slot is taken at once")
}

func TestSlots_Resize(t *testing.T) {
	t.Parallel()
	s := newSlots(1)
	require.True(t, s.try())
	w := s.line(true)
	s.resize(2)
	<-w.ready
	s.resize(1)
	x := s.line(true)
	s.release()
	select {
	case <-x.ready:
		t.Fatal("two in use under a limit of one")
	default:
	}
	s.release()
	<-x.ready
	s.release()
	used, waiting := s.counts()
	require.Zero(t, used)
	require.Zero(t, waiting)
}

func TestSlots_NoSlotIsLostUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSlots(3)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for j := range 200 {
				if s.try() {
					s.release()
					continue
				}
				w := s.line(i%2 == 0)
				if j%3 == 0 {
					s.abandon(w)
					continue
				}
				<-w.ready
				s.release()
			}
		})
	}
	wg.Wait()
	used, waiting := s.counts()
	require.Zero(t, used)
	require.Zero(t, waiting)
	require.Equal(t, 3, s.free())
}

func TestOverload_RefusedAtOnceAndNeverQueued(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withApp(func(a *App) { a.MaxInFlight = 10 }))
		h.provider.all(ok.after(4 * time.Second))
		var mu sync.Mutex
		var refused []time.Duration
		delivered := 0
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				began := time.Now()
				out, err := h.deliver(event(push.Pushkey(fmt.Sprintf("k%d", i)), "$e"))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					refused = append(refused, time.Since(began))
				} else if out[0].State == push.StateDelivered {
					delivered++
				}
			})
		}
		time.Sleep(time.Second)
		began := time.Now()
		require.Equal(t, afterOverload, h.refused(event("late", "$e"), event("later", "$e")).RetryAfter)
		require.Zero(t, time.Since(began), "the line proves overload before the newcomer has waited")
		wg.Wait()
		for _, d := range refused {
			require.LessOrEqual(t, d, patience)
		}
		require.Len(t, refused, 70, "ten have slots, twice as many may wait")
		require.Equal(t, 10, delivered)
		require.Len(t, h.store.all(), 20, "those who waited for the whole attempt_timeout are queued")
		most, _ := h.provider.peak()
		require.Equal(t, 10, most)
		h.provider.all(ok)
		require.Equal(t, push.StateDelivered, h.state(event("k99", "$f")))
		time.Sleep(time.Minute)
	})
}

func TestOverload_ABatchIsNotOverloadToItself(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withApp(func(a *App) { a.MaxInFlight = 5 }))
		h.provider.all(ok.after(400 * time.Millisecond))
		var batch []push.Notification
		for i := range 50 {
			batch = append(batch, event(push.Pushkey(fmt.Sprintf("k%d", i)), "$e"))
		}
		for _, s := range h.states(batch...) {
			require.Equal(t, push.StateDelivered, s)
		}
	})
}

func TestOverload_RepeatOfARefusedBatchDeliversOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withApp(func(a *App) { a.MaxInFlight = 2 }))
		h.provider.all(ok.after(2 * time.Second))
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { _, _ = h.deliver(event(push.Pushkey(fmt.Sprintf("other%d", i)), "$e")) })
		}
		synctest.Wait()
		batch := []push.Notification{event("a", "$e"), event("b", "$e")}
		h.provider.script("a", ok)
		time.Sleep(100 * time.Millisecond)
		h.refused(batch...)
		wg.Wait()
		h.provider.all(ok)
		time.Sleep(10 * time.Second)
		require.Equal(t, []push.State{push.StateDelivered, push.StateDelivered}, h.states(batch...))
		sends := map[push.Pushkey]int{}
		for _, s := range h.provider.sends() {
			sends[s.note.Device.Pushkey]++
		}
		require.Equal(t, 1, sends["a"])
		require.Equal(t, 1, sends["b"])
	})
}

func TestSlots_RetriesLeaveRoomForCallersAndAreNotStarved(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withApp(func(a *App) { a.MaxInFlight = 20 }))
		h.provider.all(throttled)
		var batch []push.Notification
		for i := range 200 {
			batch = append(batch, event(push.Pushkey(fmt.Sprintf("q%d", i)), "$e"))
		}
		h.states(batch...)
		h.provider.all(ok.after(time.Second))
		time.Sleep(13 * time.Second)
		_, flying := h.provider.peak()
		require.LessOrEqual(t, flying, 10, "half of the slots")
		require.Equal(t, push.StateDelivered, h.state(event("live", "$e")))
		for i := range 60 { // callers keep every slot busy
			go func() { _, _ = h.deliver(event(push.Pushkey(fmt.Sprintf("live%d", i)), "$e")) }()
		}
		left := len(h.store.all())
		time.Sleep(4 * time.Second)
		require.Less(t, len(h.store.all()), left)
		time.Sleep(5 * time.Minute)
		require.Empty(t, h.store.all())
	})
}
