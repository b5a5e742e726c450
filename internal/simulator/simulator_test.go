package simulator

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStart_BusyAddress(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	busy := strings.TrimPrefix(s.APNsURL(), "https://")
	for _, o := range []Options{{APNsAddr: busy}, {FCMAddr: busy}, {OAuthAddr: busy}, {WebPushAddr: busy}, {ControlAddr: busy}} {
		_, err := Start(o)
		require.ErrorContains(t, err, "address already in use")
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1:1", "[::]:1": "127.0.0.1:1", "0.0.0.0:1": "127.0.0.1:1", "[::1]:1": "[::1]:1", "x:1": "x:1",
	} {
		require.Equal(t, want, reachable(addr))
	}
}

func TestOnReceipt_MayDriveTheSimulator(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []Receipt
	var r *rig
	ready := make(chan struct{})
	r = start(t, Options{KeepReceipts: -1, OnReceipt: func(got Receipt) {
		<-ready
		mu.Lock()
		seen = append(seen, got)
		first := len(seen) == 1
		mu.Unlock()
		r.Script(APNs, testToken, Answer{Reason: "Unregistered"})
		if first {
			r.GoAway(APNs, GoAway{})
			r.Disconnect(APNs)
			require.NoError(t, r.SetConditions(APNs, Conditions{StreamLimit: 3}))
		}
	}})
	close(ready)
	bearer := r.provider(CredentialOptions{}).token(0)
	r.dial(r.APNsURL()).sendFails(t, bearer)
	r.dial(r.APNsURL()).send(bearer).requireReason(t, 410, "Unregistered")
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, seen, 2)
	require.Equal(t, testPayload, string(seen[1].Payload))
	require.Equal(t, []uint64{1, 2}, []uint64{seen[0].Seq, seen[1].Seq})
	require.Empty(t, r.Receipts(), "none are kept")
}

func TestReceipts_AreBoundedAndBrief(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{KeepReceipts: 3, BriefReceipts: true})
	for range 5 {
		require.Equal(t, 200, l.send(bearer).status)
	}
	all := r.Receipts()
	require.Len(t, all, 3)
	require.EqualValues(t, 3, all[0].Seq)
	require.Nil(t, all[0].Payload)
	require.Nil(t, all[0].Header)
	require.Equal(t, len(testPayload), all[0].Size)
	require.Equal(t, testToken, all[0].Token)
	require.Len(t, r.ReceiptsSince(4, 0), 1)
	require.EqualValues(t, 5, r.Stats().Delivered)
}

// The answer's receipt is in the log before the caller can have the answer.
func TestReceipts_AreThereWithTheAnswer(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{})
	for i := range 200 {
		if i%2 == 1 {
			r.Script(APNs, testToken, Answer{Delay: 1})
		}
		require.Equal(t, 200, l.send(bearer).status)
		require.Len(t, r.Receipts(), i+1)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{})
	done := make(chan []Receipt, 1)
	go func() {
		all, _ := r.WaitDelivered(t.Context(), 1)
		done <- all
	}()
	r.Script(APNs, testToken, Answer{Reason: "Unregistered"})
	l.send(bearer)
	_, err := r.WaitReceipts(t.Context(), 1)
	require.NoError(t, err)
	require.Empty(t, done)
	l.send(bearer)
	require.Len(t, <-done, 2)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	all, err := r.WaitReceipts(ctx, 3)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, all, 2)
}

func TestReset(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{Rules: Rules{APNsTopics: []string{testTopic}}})
	r.SetRules(Rules{APNsTopics: []string{"com.example.other"}})
	l.send(bearer).requireReason(t, 400, "TopicDisallowed")
	r.Script(APNs, AnyToken, Answer{Reason: "Unregistered", Times: Forever})
	for _, name := range []Service{APNs, FCM, OAuth, WebPush} {
		require.NoError(t, r.SetConditions(name, Conditions{Outage: OutageRefuse, ErrorRate: 1}))
	}
	require.NoError(t, r.Reset())
	stats := r.Stats()
	require.Zero(t, stats.Receipts)
	require.Zero(t, stats.Services[APNs].Requests)
	require.Empty(t, stats.Services[APNs].Answers)
	require.Equal(t, Conditions{}, r.Conditions(APNs))
	require.Equal(t, 200, r.dial(r.APNsURL()).send(bearer).status)
	require.EqualValues(t, 1, r.last().Seq)
	require.EqualValues(t, 1, r.Stats().Services[APNs].Answers["200"])
	for _, url := range []string{r.FCMURL(), strings.TrimSuffix(r.TokenURL(), oauthPath), r.WebPushURL()} {
		require.NoError(t, r.tryDial(url))
	}
}

func TestUnknownService(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	require.Error(t, r.SetConditions("mqtt", Conditions{}))
	require.Equal(t, Conditions{}, r.Conditions("mqtt"))
	r.Script("mqtt", "x", Answer{})
	r.GoAway("mqtt", GoAway{})
	r.Disconnect("mqtt")
}

// What arrives is secret to the log, even here.
func TestLog_HoldsNoTokensOrPayloads(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	r := start(t, Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	bearer := r.provider(CredentialOptions{}).token(0)
	l := r.dial(r.APNsURL())
	l.send(bearer)
	r.Script(APNs, testToken, Answer{Fault: FaultDisconnect})
	l.sendFails(t, bearer)
	_ = r.SetConditions(APNs, Conditions{Outage: OutageReset})
	require.NoError(t, r.Close())
	require.Contains(t, log.String(), "conditions changed")
	for _, secret := range []string{testToken, bearer, "loc-key"} {
		require.NotContains(t, log.String(), secret)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
