package providertest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/push"
)

// patience bounds every wait of the suite. A healthy run never comes near it.
const patience = 20 * time.Second

// Run runs every case of the suite as a parallel subtest.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"delivers":                     testDelivers,
		"warm sends nothing":           testWarm,
		"dead is certain":              testDead,
		"guarded is not certain":       testGuarded,
		"throttled keeps Retry-After":  testThrottled,
		"5xx is one attempt":           testServerError,
		"unknown answers never reject": testUnknown,
		"too large is a message fault": testTooLarge,
		"oversize is never sent":       testOversize,
		"nothing to send":              testNothing,
		"reset is one attempt":         testReset,
		"hang ends with the context":   testHang,
		"bad credentials are a fault":  testCredentials,
		"unreachable says nothing":     testUnreachable,
		"many at once":                 testMany,
		"closed":                       testClosed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, h)
		})
	}
}

// bench is one provider under test with everything it wrote.
type bench struct {
	Harness
	provider.Provider
	journal *journal
}

// open starts a bench with a provider of good settings.
func open(t *testing.T, h Harness) *bench {
	t.Helper()
	j := &journal{}
	b := &bench{Harness: h, Provider: h.Provider(t, j.logger()), journal: j}
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// send sends n and checks what holds for every result: faults are faults, and no text gives anything away.
func (b *bench) send(ctx context.Context, t *testing.T, n push.Notification) (push.Outcome, *push.Fault) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := b.Send(ctx, n, push.Hash{1, 2, 3})
	b.journal.note(out, err)
	b.journal.requireClean(t, n.Device.Pushkey)
	if err == nil {
		require.NotEmpty(t, out.Reason, "every outcome carries a reason: it is a metric's label")
		return out, nil
	}
	fault, ok := errors.AsType[*push.Fault](err)
	require.True(t, ok, "an error of Send must be a *push.Fault")
	require.Zero(t, out, "a fault says nothing about the device")
	require.NotEmpty(t, fault.Reason)
	return out, fault
}

// scripted sends to a device whose next request is answered with a, and requires that one request was made.
func (b *bench) scripted(t *testing.T, a Answer) (push.Outcome, *push.Fault) {
	t.Helper()
	d := b.Device()
	if !b.Script(t, d.Pushkey, a) {
		t.Skipf("this service has no answer %q", a.Kind)
	}
	out, fault := b.send(t.Context(), t, plain(d))
	require.Equal(t, 1, b.Requests(d.Pushkey), "one Send is one request, whatever the answer")
	return out, fault
}

func testDelivers(t *testing.T, h Harness) {
	b := open(t, h)
	for name, build := range map[string]func(push.Device) push.Notification{"plain": plain, "sealed": sealed} {
		d := b.Device()
		out, fault := b.send(t.Context(), t, build(d))
		require.Nil(t, fault, name)
		require.Equal(t, push.Delivered, out.Verdict, name)
		require.Equal(t, 1, b.Requests(d.Pushkey), name)
	}
}

func testWarm(t *testing.T, h Harness) {
	b := open(t, h)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, b.Warm(ctx))
	require.NoError(t, b.Warm(ctx), "warming twice is fine")
	d := b.Device()
	require.Zero(t, b.Requests(d.Pushkey))
	out, _ := b.send(t.Context(), t, plain(d))
	require.Equal(t, push.Delivered, out.Verdict)
}

func testDead(t *testing.T, h Harness) {
	out, fault := open(t, h).scripted(t, Answer{Kind: Dead})
	require.Nil(t, fault)
	require.Equal(t, push.Rejected, out.Verdict)
	require.True(t, out.Certain)
	require.False(t, out.Since.After(time.Now().Add(time.Minute)), "a pushkey cannot die in the future")
}

func testGuarded(t *testing.T, h Harness) {
	out, fault := open(t, h).scripted(t, Answer{Kind: Guarded})
	require.Nil(t, fault)
	require.Equal(t, push.Rejected, out.Verdict)
	require.False(t, out.Certain)
}

func testThrottled(t *testing.T, h Harness) {
	out, fault := open(t, h).scripted(t, Answer{Kind: Throttled, RetryAfter: 17 * time.Second})
	require.Nil(t, fault)
	require.Equal(t, push.RetryAfter, out.Verdict)
	require.Equal(t, 17*time.Second, out.Delay)
	require.False(t, out.Transport, "an answer is not a broken transport")
}

func testServerError(t *testing.T, h Harness) {
	b := open(t, h)
	for _, kind := range []Kind{Unavailable, BadGateway} {
		t.Run(string(kind), func(t *testing.T) {
			out, fault := b.scripted(t, Answer{Kind: kind})
			require.Nil(t, fault)
			require.Equal(t, push.RetryAfter, out.Verdict)
			require.Equal(t, !h.Strangers, out.Transport)
		})
	}
}

func testUnknown(t *testing.T, h Harness) {
	b := open(t, h)
	for _, kind := range []Kind{Unknown, Garbled, Empty} {
		t.Run(string(kind), func(t *testing.T) {
			out, fault := b.scripted(t, Answer{Kind: kind})
			if fault != nil {
				return // about us: no device is harmed
			}
			require.Equal(t, push.RetryAfter, out.Verdict)
		})
	}
}

func testTooLarge(t *testing.T, h Harness) {
	_, fault := open(t, h).scripted(t, Answer{Kind: TooLarge})
	require.NotNil(t, fault)
	require.Equal(t, push.FaultMessage, fault.Kind)
}

func testOversize(t *testing.T, h Harness) {
	b := open(t, h)
	d := b.Device()
	n := sealed(d)
	n.Sealed.Ciphertext = push.NewText(canaryCiphertext + strings.Repeat("A", 8<<10))
	_, fault := b.send(t.Context(), t, n)
	require.NotNil(t, fault)
	require.Equal(t, push.FaultMessage, fault.Kind)
	require.Zero(t, b.Requests(d.Pushkey))
}

func testNothing(t *testing.T, h Harness) {
	b := open(t, h)
	d := b.Device()
	out, fault := b.send(t.Context(), t, push.Notification{Device: d, Event: &push.Event{}})
	require.Nil(t, fault)
	require.Equal(t, push.Delivered, out.Verdict)
	require.Equal(t, "nothing_to_send", out.Reason)
	require.Zero(t, b.Requests(d.Pushkey))
}

func testReset(t *testing.T, h Harness) {
	b := open(t, h)
	out, fault := b.scripted(t, Answer{Kind: Reset})
	require.Nil(t, fault)
	require.Equal(t, push.RetryAfter, out.Verdict)
	require.Equal(t, !h.Strangers, out.Transport)
	// The next attempt is a new request and may work at once.
	out, _ = b.send(t.Context(), t, plain(b.Device()))
	require.Equal(t, push.Delivered, out.Verdict)
}

func testHang(t *testing.T, h Harness) {
	b := open(t, h)
	d := b.Device()
	if !b.Script(t, d.Pushkey, Answer{Kind: Hang}) {
		t.Skip("this service always answers")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var (
		wg    sync.WaitGroup
		out   push.Outcome
		fault *push.Fault
	)
	wg.Go(func() { out, fault = b.send(ctx, t, plain(d)) })
	require.Eventually(t, func() bool { return b.Requests(d.Pushkey) == 1 }, patience, time.Millisecond)
	cancel()
	wg.Wait()
	require.Nil(t, fault)
	require.Equal(t, push.RetryAfter, out.Verdict)
	require.Equal(t, !h.Strangers, out.Transport)
	require.Equal(t, 1, b.Requests(d.Pushkey), "a silent request may have arrived: it is never repeated")

	// One silent stream takes nothing away from the others.
	out, _ = b.send(t.Context(), t, plain(b.Device()))
	require.Equal(t, push.Delivered, out.Verdict)
}

func testCredentials(t *testing.T, h Harness) {
	j := &journal{}
	b := &bench{Harness: h, Provider: h.Misconfigured(t, j.logger()), journal: j}
	defer func() { require.NoError(t, b.Close()) }()
	var fault *push.Fault
	// A provider may spend an attempt or two on fresh credentials before it is sure.
	for range 4 {
		var out push.Outcome
		out, fault = b.send(t.Context(), t, plain(b.Device()))
		if fault != nil {
			break
		}
		require.Equal(t, push.RetryAfter, out.Verdict, "credentials say nothing about the device")
	}
	require.NotNil(t, fault)
	require.Equal(t, push.FaultConfig, fault.Kind)
}

func testUnreachable(t *testing.T, h Harness) {
	j := &journal{}
	b := &bench{Harness: h, Provider: h.Unreachable(t, j.logger()), journal: j}
	defer func() { require.NoError(t, b.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if !h.Strangers {
		require.Error(t, b.Warm(ctx))
	}
	for range 3 {
		out, fault := b.send(ctx, t, plain(b.Device()))
		require.Nil(t, fault)
		require.Equal(t, push.RetryAfter, out.Verdict)
		require.Equal(t, !h.Strangers, out.Transport)
	}
}

func testMany(t *testing.T, h Harness) {
	b := open(t, h)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			d := b.Device()
			out, err := b.Send(t.Context(), plain(d), push.Hash{9})
			if err != nil || out.Verdict != push.Delivered {
				t.Errorf("outcome %+v, fault %v", out, err != nil)
			}
			if got := b.Requests(d.Pushkey); got != 1 {
				t.Errorf("%d requests for one Send", got)
			}
		})
	}
	wg.Wait()
}

func testClosed(t *testing.T, h Harness) {
	j := &journal{}
	b := &bench{Harness: h, Provider: h.Provider(t, j.logger()), journal: j}
	out, _ := b.send(t.Context(), t, plain(b.Device()))
	require.Equal(t, push.Delivered, out.Verdict)
	require.NoError(t, b.Close())
	out, fault := b.send(t.Context(), t, plain(b.Device()))
	require.Nil(t, fault)
	require.Equal(t, push.RetryAfter, out.Verdict, "a closed provider delivers nothing and blames nobody")
	require.NoError(t, b.Close(), "closing twice is fine")
}
