package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// unread lists the counts that reached a phone, in order.
func (p *fakeProvider) unread(key push.Pushkey) []int64 {
	var counts []int64
	for _, s := range p.sends() {
		if s.note.Device.Pushkey == key && s.result.outcome.Verdict == push.Delivered && s.note.Counts.Unread != nil {
			counts = append(counts, *s.note.Counts.Unread)
		}
	}
	return counts
}

// to lists the attempts for a device.
func (p *fakeProvider) to(key push.Pushkey) (sends []sentPush) {
	for _, s := range p.sends() {
		if s.note.Device.Pushkey == key {
			sends = append(sends, s)
		}
	}
	return sends
}

func withUnread(n push.Notification, unread int64) push.Notification {
	n.Counts.Unread = &unread
	return n
}

func TestBadge_NeverSuppressedAndCollapsesPerDevice(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.states(h.badge("k", 1), h.badge("k", 1), h.badge("l", 1), event("k", "$e"))
		collapse := map[push.Pushkey]map[push.Hash]bool{}
		for _, s := range h.provider.sends() {
			if collapse[s.note.Device.Pushkey] == nil {
				collapse[s.note.Device.Pushkey] = map[push.Hash]bool{}
			}
			require.False(t, s.collapse.IsZero())
			collapse[s.note.Device.Pushkey][s.collapse] = true
		}
		require.Equal(t, 4, h.provider.count())
		require.Len(t, collapse["k"], 2, "one for badges, one for the event")
		require.Len(t, collapse["l"], 1)
	})
}

func TestBadge_ANewerOneReplacesTheQueuedOne(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled, throttled, throttled, ok)
		for i := range int64(3) {
			require.Equal(t, push.StateQueued, h.state(h.badge("k", i+1)))
		}
		require.Len(t, h.store.all(), 1)
		require.EqualValues(t, 2, h.Stats().Account.Superseded)
		time.Sleep(time.Minute)
		require.Equal(t, []int64{3}, h.provider.unread("k"))
	})
}

func TestBadge_DroppedAfterALaterSendWithCounts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		later func(h *harness) push.Notification
		want  []int64
	}{
		{"a newer badge", func(h *harness) push.Notification { return h.badge("k", 9) }, []int64{9}},
		{"an event with counts", func(*harness) push.Notification { return withUnread(event("k", "$e"), 9) }, []int64{9}},
		{"an event without counts", func(*harness) push.Notification { return event("k", "$e") }, []int64{1}},
	}
	for _, tt := range tests {
		for _, restart := range []bool{false, true} {
			name := tt.name
			if restart {
				name += " after a restart"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T) {
					h := newHarness(t)
					h.provider.script("k", throttled, ok)
					require.Equal(t, push.StateQueued, h.state(h.badge("k", 1)))
					if restart {
						h.restart()
					}
					time.Sleep(time.Second)
					require.Equal(t, push.StateDelivered, h.state(tt.later(h)))
					time.Sleep(time.Minute)
					require.Equal(t, tt.want, h.provider.unread("k"))
					require.Empty(t, h.store.all())
				})
			})
		}
	}
}

func TestBadge_QueuedEventDoesNotDropANewerBadge(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled, throttled.delayed(time.Minute), ok)
		h.state(withUnread(event("k", "$e"), 5))
		time.Sleep(time.Second)
		h.state(h.badge("k", 0))
		time.Sleep(2 * time.Minute)
		require.Equal(t, []int64{5, 0}, h.provider.unread("k"), "the newest count comes last")
	})
}

func TestBadge_DroppedWhileItIsBeingRetried(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled, throttled.after(10*time.Second), ok)
		h.state(h.badge("k", 1))
		time.Sleep(15 * time.Second) // the retry is under way
		require.Equal(t, 2, h.provider.count())
		require.Equal(t, push.StateDelivered, h.state(withUnread(event("k", "$e"), 7)))
		time.Sleep(5 * time.Minute)
		require.Equal(t, []int64{7}, h.provider.unread("k"))
		require.Empty(t, h.store.all())
	})
}

func TestBadge_SeveralUnderWay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.all(throttled.after(8 * time.Second))
		h.states(h.badge("k", 1), h.badge("k", 2), h.badge("k", 3))
		require.Len(t, h.store.all(), 3)
		time.Sleep(4 * time.Second)
		require.Len(t, h.store.all(), 1, "only the newest waits again")
		h.provider.all(ok)
		time.Sleep(time.Minute)
		require.Equal(t, []int64{3}, h.provider.unread("k"))
		require.EqualValues(t, 2, h.Stats().Account.Superseded)
	})
}

// A row in our hands keeps its device from being cleaned up, and a newer one makes it worthless, in whatever order they
// become known.
func TestBadges_OlderRowInOurHands(t *testing.T) {
	t.Parallel()
	device := push.Hash{1}
	older := push.Queued{ID: 1, Device: device, BadgeOnly: true}
	row := push.Queued{Device: device, BadgeOnly: true, Deadline: time.Now().Add(time.Hour)}

	b := newBadges()
	b.stored(row, push.Enqueued{State: push.EnqueueStored, ID: 1, Lease: 9})
	require.True(t, b.worthWaiting(older))
	b.stored(row, push.Enqueued{State: push.EnqueueStored, ID: 2})
	require.False(t, b.worthWaiting(older))
	b.outdated(device, time.Now(), true)
	require.Empty(t, b.take(10))
	b.waitsAgain(1)
	require.Len(t, b.take(10), 1)
	b.ended(device, 2)
	require.Empty(t, b.out)
	require.Empty(t, b.outOf)
}

func TestBadges_SweepForgetsWhatHasExpired(t *testing.T) {
	t.Parallel()
	b, now := newBadges(), time.Now()
	b.stored(push.Queued{Device: push.Hash{1}, Deadline: now.Add(time.Hour)}, push.Enqueued{State: push.EnqueueStored, ID: 1})
	b.loaded(push.Queued{ID: 2, Device: push.Hash{2}, Deadline: now.Add(2 * time.Hour)})
	b.sweep(now)
	require.Len(t, b.newest, 2)
	b.sweep(now.Add(90 * time.Minute))
	require.Equal(t, []int64{2}, []int64{b.newest[push.Hash{2}].id})
	require.Len(t, b.newest, 1)
}

// Nobody but the store says that a row is gone: what was concluded from a later badge once took another row out of the
// books, which then was never sent.
func TestBadge_AfterOneThatExpired(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled.delayed(48*time.Hour), throttled.delayed(5*time.Minute), ok)
		require.Equal(t, push.StateQueued, h.state(h.badge("k", 1)))
		time.Sleep(23*time.Hour + 59*time.Minute)
		h.provider.script("e", throttled.delayed(10*time.Minute), ok)
		require.Equal(t, push.StateQueued, h.state(event("e", "$e")))
		time.Sleep(2 * time.Minute) // the badge expires
		require.Len(t, h.store.all(), 1)
		require.Equal(t, push.StateQueued, h.state(h.badge("k", 2)))
		require.Equal(t, 2, h.Stats().Queued)
		time.Sleep(time.Hour)
		require.Equal(t, []int64{2}, h.provider.unread("k"))
		require.Len(t, h.provider.to("e"), 2)
		require.Empty(t, h.store.all())
		require.Zero(t, h.Stats().Queued)
	})
}

func TestBadge_StoredWhileTheOlderOneIsClaimed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("e", throttled.delayed(10*time.Minute), ok)
		require.Equal(t, push.StateQueued, h.state(event("e", "$e")))
		h.provider.script("k", throttled, throttled, ok)
		require.Equal(t, push.StateQueued, h.state(h.badge("k", 1)))
		newer := func() { require.Equal(t, push.StateQueued, h.state(h.badge("k", 2))) }
		h.store.set(func(s *fakeStore) { s.heard = newer })
		time.Sleep(5 * time.Minute)
		require.Equal(t, 1, h.Stats().Queued)
		require.Equal(t, []int64{2}, h.provider.unread("k"))
		time.Sleep(time.Hour)
		require.Len(t, h.provider.to("e"), 2)
		require.Empty(t, h.store.all())
	})
}

// A clean-up deals with many devices at once, and each has its own time.
func TestBadge_DroppedTogetherWithAnotherDevices(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		for i := range 20 {
			key := push.Pushkey(fmt.Sprintf("k%d", i))
			h.provider.script(key, throttled, ok)
			require.Equal(t, push.StateQueued, h.state(h.badge(key, 1)))
			time.Sleep(10 * time.Millisecond)
			require.Equal(t, push.StateDelivered, h.state(withUnread(event(key, "$e"), 9)))
		}
		time.Sleep(5 * time.Minute)
		for i := range 20 {
			require.Equal(t, []int64{9}, h.provider.unread(push.Pushkey(fmt.Sprintf("k%d", i))))
		}
		require.EqualValues(t, 20, h.Stats().Account.Superseded)
	})
}

// Counts that reach the phone in another order than they were accepted in hide none that are newer than both.
func TestBadges_AnOlderTimeDoesNotCoverANewerOne(t *testing.T) {
	t.Parallel()
	device, now := push.Hash{1}, time.Now()
	badge := func(id int64, after time.Duration) push.Queued {
		return push.Queued{ID: id, Device: device, BadgeOnly: true, Accepted: now.Add(after)}
	}
	b := newBadges()
	b.outdated(device, now.Add(10*time.Second), true)
	b.outdated(device, now.Add(5*time.Second), true)
	require.False(t, b.worthWaiting(badge(1, 7*time.Second)))
	require.Equal(t, map[push.Hash]time.Time{device: now.Add(10 * time.Second)}, b.take(10))

	newer := badge(2, 20*time.Second)
	b.stored(newer, push.Enqueued{State: push.EnqueueStored, ID: 2})
	b.outdated(device, now.Add(15*time.Second), false)
	require.Empty(t, b.take(10), "older than the row")
	b.outdated(device, now.Add(25*time.Second), false)
	require.False(t, b.worthWaiting(newer), "the row is still known")
}

func TestBadge_SharedDatabase(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFakeStore()
		phones := &fakeProvider{}
		a := newHarness(t, withStore(store.shared()), withProvider(phones))
		b := newHarness(t, withStore(store.shared()), withProvider(phones))
		phones.script("k", throttled.delayed(time.Minute), ok)
		require.Equal(t, push.StateQueued, a.state(a.badge("k", 1)))
		time.Sleep(5 * time.Second) // b hears of rows
		require.Equal(t, push.StateDelivered, b.state(withUnread(event("k", "$e"), 4)))
		time.Sleep(5 * time.Minute)
		require.Equal(t, []int64{4}, phones.unread("k"))
		require.Empty(t, store.all())
	})
}

func TestBadge_SharedDatabaseCountsOutOfTheQueue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFakeStore()
		h := newHarness(t, withStore(store.shared()))
		h.provider.script("k", throttled.delayed(time.Hour), throttled, ok)
		require.Equal(t, push.StateQueued, h.state(h.badge("k", 1)))
		time.Sleep(time.Second)
		require.Equal(t, push.StateQueued, h.state(withUnread(event("k", "$e"), 4)))
		time.Sleep(2 * time.Hour)
		require.Equal(t, []int64{4}, h.provider.unread("k"))
		require.Empty(t, store.all())
	})
}
