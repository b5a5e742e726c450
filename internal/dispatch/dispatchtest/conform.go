package dispatchtest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

// Subject is one implementation under test, with an empty registry and outbox.
type Subject struct {
	Store interface {
		dispatch.Store
		pusher.Store
	}
	// Advance moves the store's clock, which otherwise may run by itself.
	Advance func(d time.Duration)
	// Now is the store's clock.
	Now func() time.Time
}

// Conform checks an implementation of dispatch.Store. Each case opens an empty store of its own.
func Conform(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	for name, run := range map[string]func(*testing.T, *rig){
		"devices come with their choices":                        devices,
		"an event becomes rows, and rows come back whole":        whole,
		"a plan that fails writes nothing":                       planFails,
		"a plan without rows leaves a receipt":                   planEmpty,
		"a repeat is answered with the first receipt":            onceRepeat,
		"a key with another body is refused":                     onceReused,
		"a key is forgotten in time":                             onceForgotten,
		"a failed submission leaves no key":                      onceFailed,
		"twins with one key become one":                          onceTwins,
		"one row per pusher at a time, oldest first":             onePerPusher,
		"limits leave the rest":                                  claimLimit,
		"gateways and realms are apart":                          gatewaysApart,
		"rows follow the pusher to another gateway":              follow,
		"a row that waits holds nothing back":                    waitsAlone,
		"next says when to come again":                           nextTimes,
		"a lease runs out, and the late verdict is refused":      leaseEnds,
		"a lease is renewed":                                     renew,
		"release gives back":                                     release,
		"attempts and refusals are kept":                         attempts,
		"a newer badge replaces an older one that waits":         badgeReplaced,
		"a badge in flight ends when it would wait beside newer": badgeInFlight,
		"rows go with their pusher":                              cascade,
		"rows past their deadline are expired, not claimed":      expire,
		"a key steps by compare and set":                         stepKeys,
		"a renewed registration keeps its rows and new key":      renewed,
		"claims at once share nothing":                           concurrentClaims,
		"submissions and deletions at once leave no orphans":     concurrentDelete,
		"a cancelled caller changes nothing":                     cancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, &rig{Subject: open(t)})
		})
	}
}

// rig is a subject with shorthands.
type rig struct{ Subject }

const (
	urlA = "https://a.example.com/push/v1/"
	urlB = "https://b.example.com/push/v1/"
	hour = time.Hour
)

var (
	gatewayA = dispatch.Gateway{Realm: push.RealmFachdienst, URL: urlA}
	gatewayB = dispatch.Gateway{Realm: push.RealmFachdienst, URL: urlB}
	errPlan  = errors.New("the plan says no")
)

func alice() push.Owner { return push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X110400001"} }
func bob() push.Owner   { return push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X110400002"} }

// register sets a pusher and returns it as it is stored.
func (r *rig) register(t *testing.T, owner push.Owner, key push.Pushkey, url string) pusher.Pusher {
	t.Helper()
	r.Advance(time.Millisecond)
	p := pushertest.Sample(owner, "app", key)
	p.URL, p.Data = url, push.Object(`{"url":"`+url+`","n":9007199254740993}`)
	p.Encryption = pushertest.SampleEncryption(t, 1)
	require.NoError(t, r.Store.SetPusher(t.Context(), pusher.Registration{Pusher: p}))
	list, err := r.Store.ListPushers(t.Context(), owner)
	require.NoError(t, err)
	i := slices.IndexFunc(list, func(o pusher.Pusher) bool { return o.Key == p.Key })
	require.GreaterOrEqual(t, i, 0)
	return list[i]
}

// every plans one row with this payload for each device.
func (r *rig) every(payload string, change func(*dispatch.NewRow)) func([]dispatch.Device) (dispatch.Plan, error) {
	return func(devices []dispatch.Device) (dispatch.Plan, error) {
		p := dispatch.Plan{Receipt: dispatch.Receipt{ID: payload, Accepted: r.Now().UTC().Truncate(time.Millisecond), Status: dispatch.StatusAccepted}}
		for i := range devices {
			n := dispatch.NewRow{Device: i, Payload: []byte(payload), Deadline: r.Now().Add(hour)}
			if change != nil {
				change(&n)
			}
			p.Rows = append(p.Rows, n)
		}
		return p, nil
	}
}

func (r *rig) submit(t *testing.T, owner push.Owner, payload string, change func(*dispatch.NewRow)) dispatch.Submitted {
	t.Helper()
	r.Advance(time.Millisecond)
	out, err := r.Store.Submit(t.Context(), dispatch.Submission{Owner: owner, Plan: r.every(payload, change)})
	require.NoError(t, err)
	r.Advance(time.Millisecond)
	return out
}

func (r *rig) claim(t *testing.T, g dispatch.Gateway, limit int) []dispatch.Row {
	t.Helper()
	out, err := r.Store.Claim(t.Context(), g, limit, time.Minute)
	require.NoError(t, err)
	return out.Rows
}

func (r *rig) settle(t *testing.T, s dispatch.Settlement) bool {
	t.Helper()
	ours, err := r.Store.Settle(t.Context(), []dispatch.Settlement{s})
	require.NoError(t, err)
	require.Len(t, ours, 1)
	return ours[0]
}

func (r *rig) rows(t *testing.T) int {
	t.Helper()
	all, err := r.Store.Gateways(t.Context())
	require.NoError(t, err)
	n := 0
	for _, w := range all {
		n += w.Rows
	}
	return n
}

func payloads(rows []dispatch.Row) []string {
	out := []string{}
	for _, row := range rows {
		out = append(out, string(row.Payload))
	}
	return out
}

func devices(t *testing.T, r *rig) {
	none, err := r.Store.Devices(t.Context(), alice())
	require.NoError(t, err)
	require.Empty(t, none)

	first := r.register(t, alice(), "one", urlA)
	r.register(t, bob(), "one", urlA)
	plain := pushertest.Sample(alice(), "other", "two")
	require.NoError(t, r.Store.SetPusher(t.Context(), pusher.Registration{Pusher: plain}))
	on := map[string]pusher.ChannelStatus{"c": pusher.ChannelEnabled, "d": pusher.ChannelDisabled}
	require.NoError(t, r.Store.ChooseChannels(t.Context(), alice(), "one", on))

	got, err := r.Store.Devices(t.Context(), alice())
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, first, got[0].Pusher)
	require.Nil(t, got[0].Pusher.Encryption)
	require.True(t, got[0].Encrypted)
	require.Equal(t, on, got[0].Choices)
	require.False(t, got[1].Encrypted)
	require.Empty(t, got[1].Choices)
}

func whole(t *testing.T, r *rig) {
	p := r.register(t, alice(), "one", urlA)
	r.register(t, alice(), "two", urlA)
	deadline := r.Now().Add(hour)
	out := r.submit(t, alice(), "hello \x00\xff", func(n *dispatch.NewRow) { n.HasCounts, n.Deadline = true, deadline })
	require.Equal(t, dispatch.StatusAccepted, out.Receipt.Status)
	require.False(t, out.Replayed)
	require.Equal(t, 2, r.rows(t))

	before := r.Now()
	claimed, err := r.Store.Claim(t.Context(), gatewayA, 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, claimed.Rows, 2)
	require.WithinRange(t, claimed.At, before.Add(-time.Second), r.Now().Add(time.Second))
	require.True(t, claimed.Next.IsZero())
	row := claimed.Rows[0]
	require.Equal(t, "hello \x00\xff", string(row.Payload))
	require.True(t, row.HasCounts)
	require.False(t, row.BadgeOnly)
	require.Zero(t, row.Attempts)
	require.Zero(t, row.Refusals)
	require.WithinDuration(t, deadline, row.Deadline, time.Second)
	require.WithinDuration(t, r.Now(), row.Accepted, time.Minute)
	require.NotNil(t, row.Pusher.Encryption)
	require.True(t, row.Pusher.Encryption.Generation.Equal(pushertest.SampleEncryption(t, 1).Generation))
	require.Equal(t, pushertest.SampleEncryption(t, 1).KeyID, row.Pusher.Encryption.KeyID)
	got := row.Pusher
	got.Encryption = nil
	require.Equal(t, p, got)
	require.NotEqual(t, claimed.Rows[0].ID, claimed.Rows[1].ID)

	for _, row := range claimed.Rows {
		require.True(t, r.settle(t, dispatch.Settlement{Held: row.Held}))
		require.False(t, r.settle(t, dispatch.Settlement{Held: row.Held}), "it is gone")
	}
	require.Zero(t, r.rows(t))
}

func planFails(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	_, err := r.Store.Submit(t.Context(), dispatch.Submission{Owner: alice(), Plan: func([]dispatch.Device) (dispatch.Plan, error) {
		return dispatch.Plan{}, errPlan
	}})
	require.ErrorIs(t, err, errPlan)
	require.Zero(t, r.rows(t))
}

func planEmpty(t *testing.T, r *rig) {
	once := &dispatch.Once{Key: push.Hash{1}, Body: push.Hash{2}, Keep: 24 * hour}
	for _, replayed := range []bool{false, true} {
		calls := 0
		out, err := r.Store.Submit(t.Context(), dispatch.Submission{Owner: alice(), Once: once, Plan: func(devices []dispatch.Device) (dispatch.Plan, error) {
			calls++
			require.Empty(t, devices)
			return dispatch.Plan{Receipt: dispatch.Receipt{ID: "id", Status: dispatch.StatusNoActiveChannel, Accepted: r.Now().UTC().Truncate(time.Millisecond)}}, nil
		}})
		require.NoError(t, err)
		require.Equal(t, replayed, out.Replayed)
		require.Equal(t, !replayed, calls > 0)
		require.Equal(t, "id", out.Receipt.ID)
		require.Equal(t, dispatch.StatusNoActiveChannel, out.Receipt.Status)
	}
}

func cancelled(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.submit(t, alice(), "x", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Store.Submit(ctx, dispatch.Submission{Owner: alice(), Plan: r.every("y", nil)})
	require.Error(t, err)
	_, err = r.Store.Claim(ctx, gatewayA, 1, time.Minute)
	require.Error(t, err)
	_, err = r.Store.Devices(ctx, alice())
	require.Error(t, err)
	require.Equal(t, 1, r.rows(t))
	require.Len(t, r.claim(t, gatewayA, 10), 1)
}
