package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func controlRig(t *testing.T) (*rig, *Client) {
	t.Helper()
	r := start(t, Options{})
	c := NewClient(r.ControlURL() + "/")
	t.Cleanup(c.Close)
	return r, c
}

func TestClient_DrivesTheSimulator(t *testing.T) {
	t.Parallel()
	r, c := controlRig(t)
	ctx := t.Context()
	o, err := c.Overview(ctx)
	require.NoError(t, err)
	require.Equal(t, Overview{r.APNsURL(), r.FCMURL(), r.TokenURL(), r.WebPushURL(), r.ControlURL()}, o)
	ca, err := c.CAPEM(ctx)
	require.NoError(t, err)
	require.Equal(t, r.CAPEM(), ca)

	p := r.provider(CredentialOptions{})
	bearer := p.token(0)
	l := r.dial(r.APNsURL())
	require.NoError(t, c.Script(ctx, APNs, testToken, Answer{Reason: "TooManyRequests", RetryAfter: "9"}, Answer{Reason: "Unregistered", Timestamp: time.UnixMilli(0)}))
	require.Equal(t, "9", l.send(bearer).header.Get("retry-after"))
	require.JSONEq(t, `{"reason":"Unregistered","timestamp":0}`, l.send(bearer).body)
	require.NoError(t, c.Script(ctx, APNs, AnyToken, Answer{Reason: "Unregistered", Times: Forever}))
	l.send(bearer).requireReason(t, 410, "Unregistered")
	require.NoError(t, c.Script(ctx, APNs, AnyToken))
	require.Equal(t, 200, l.send(bearer).status)

	require.NoError(t, c.SetConditions(ctx, APNs, Conditions{ErrorRate: 1, Error: Answer{Reason: "InternalServerError", Delay: time.Millisecond}}))
	l.send(bearer).requireReason(t, 500, "InternalServerError")
	require.NoError(t, c.SetConditions(ctx, APNs, Conditions{}))
	require.NoError(t, c.SetRules(ctx, Rules{APNsTopics: []string{"com.example.other"}, TokenUpdateInterval: -time.Second}))
	l.send(bearer).requireReason(t, 400, "TopicDisallowed")
	require.Equal(t, -time.Second, r.Rules().TokenUpdateInterval)

	require.NoError(t, c.GoAway(ctx, APNs, GoAway{Reason: "Shutdown"}))
	soon(t, "GOAWAY", func() bool { return !l.CanTakeNewRequest() })
	l = r.dial(r.APNsURL())
	require.NoError(t, c.Disconnect(ctx, APNs))
	l.sendFails(t, bearer)

	s, err := c.Stats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 6, s.Receipts)
	require.EqualValues(t, 2, s.Services[APNs].Answers["410 Unregistered"])
	require.NoError(t, c.WaitDelivered(ctx, 1))

	require.NoError(t, c.Revoke(ctx, p.keyID))
	require.ErrorContains(t, c.Revoke(ctx, p.keyID), "no such credential")
	require.NoError(t, c.Reset(ctx))
	require.Empty(t, r.Receipts())

	gone, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, c.WaitDelivered(gone, 1), context.Canceled)
}

func TestClient_Credentials(t *testing.T) {
	t.Parallel()
	r, c := controlRig(t)
	ctx := t.Context()
	cr, err := c.WriteCredentials(ctx, t.TempDir(), CredentialOptions{TeamID: "ABCDEFGHIJ", Topic: "a.b", ProjectID: "p-1"})
	require.NoError(t, err)
	requireCredentials(t, cr, "ABCDEFGHIJ", "a.b", "p-1")

	sub, err := c.Subscribe(ctx, SubscribeOptions{VAPIDPublicKey: cr.VAPIDPublicKey})
	require.NoError(t, err)
	require.NoError(t, c.Script(ctx, WebPush, sub.Endpoint, Answer{Status: 410}))
	app := r.appServer()
	require.Equal(t, 403, app.push(sub, "x", nil).status, "another key")
	own := r.subscribe(SubscribeOptions{})
	require.Equal(t, 201, app.push(own, "x", nil).status)
	_, err = c.Subscribe(ctx, SubscribeOptions{VAPIDPublicKey: "x"})
	require.Error(t, err)

	bearer := r.account(CredentialOptions{}).token()
	require.NoError(t, c.RevokeAccessTokens(ctx))
	require.Equal(t, 401, r.dial(r.FCMURL()).message(bearer, fcmMessage1).status)
}

func TestClient_StreamsReceipts(t *testing.T) {
	t.Parallel()
	r, c := controlRig(t)
	bearer := r.provider(CredentialOptions{}).token(0)
	l := r.dial(r.APNsURL())
	const n = 2500 // more than two pages
	for range n {
		require.Equal(t, 200, l.send(bearer).status)
	}
	var got []Receipt
	collect := func(v Receipt) error { got = append(got, v); return nil }
	require.NoError(t, c.Receipts(t.Context(), 0, false, collect))
	require.Len(t, got, n)
	want := r.Receipts()
	for i := range got {
		require.True(t, want[i].Time.Equal(got[i].Time))
		got[i].Time, want[i].Time = time.Time{}, time.Time{}
	}
	require.Equal(t, want, got)

	got = nil
	require.NoError(t, c.Receipts(t.Context(), n-1, false, collect))
	require.Len(t, got, 1)
	enough := errors.New("enough")
	require.ErrorIs(t, c.Receipts(t.Context(), 0, false, func(Receipt) error { return enough }), enough)

	live := make(chan Receipt, 3)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- c.Receipts(ctx, n, true, func(v Receipt) error { live <- v; return nil })
	}()
	for i := range 3 {
		require.Equal(t, 200, l.send(bearer).status)
		require.EqualValues(t, n+1+i, (<-live).Seq)
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestControl_Refuses(t *testing.T) {
	t.Parallel()
	r, _ := controlRig(t)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for name, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"unknown service":      {"PUT", "/conditions/mqtt", `{}`, 404},
		"unknown path":         {"GET", "/nothing", ``, 404},
		"wrong method":         {"GET", "/reset", ``, 405},
		"no JSON":              {"PUT", "/scripts/apns/*", `[`, 400},
		"no list":              {"PUT", "/scripts/apns/*", `{}`, 400},
		"unknown member":       {"PUT", "/scripts/apns/*", `[{"reasn":"x"}]`, 400},
		"unknown member below": {"PUT", "/conditions/apns", `{"error":{"reasn":"x"}}`, 400},
		"no duration":          {"PUT", "/conditions/apns", `{"latency":100}`, 400},
		"unknown outage":       {"PUT", "/conditions/apns", `{"outage":"rain"}`, 400},
		"unknown certificate":  {"PUT", "/conditions/apns", `{"certificate":"old"}`, 400},
		"unknown rule":         {"PUT", "/rules", `{"x":1}`, 400},
		"since no number":      {"GET", "/receipts?since=x", ``, 400},
		"limit negative":       {"GET", "/receipts?limit=-1", ``, 400},
		"unknown credential":   {"POST", "/revoke", `{"id":"x"}`, 400},
		"too much":             {"PUT", "/rules", strings.Repeat(" ", controlBody+1), 400},
	} {
		req, err := http.NewRequest(c.method, r.ControlURL()+c.path, strings.NewReader(c.body))
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, c.status, resp.StatusCode, "%s: %s", name, text)
		require.NotEmpty(t, text)
	}
	require.Equal(t, Conditions{}, r.Conditions(APNs))
}

// The examples that a person would type.
func TestControl_Shapes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		into any
		text string
	}{
		"answer":     {new(Answer), `{"reason":"Unregistered","timestamp":"2026-11-20T10:00:00Z","retry_after":"3","delay":"150ms","fault":"hang","times":-1,"body":"","header":{"a":"b"}}`},
		"conditions": {new(Conditions), `{"latency":"100ms","clock_skew":"-1h0m0s","error_rate":0.1,"error":{"status":502},"outage":"silent","stream_limit":1,"certificate":"expired"}`},
		"healthy":    {new(Conditions), `{}`},
		"rules":      {new(Rules), `{"one_stream_first":true,"bad_token_limit":3,"apns_topics":["a.b"],"token_update_interval":"1m0s","access_token_lifetime":"10m0s"}`},
		"receipt":    {new(Receipt), `{"seq":1,"time":"2026-11-20T10:00:00Z","service":"apns","conn":1,"size":3,"status":200,"delivered":true,"payload":"{\"a\":\"<é>\"}"}`},
		"binary":     {new(Receipt), `{"seq":1,"time":"2026-11-20T10:00:00Z","service":"webpush","conn":1,"size":3,"status":201,"delivered":true,"payload_base64":"/w=="}`},
		"empty":      {new(Receipt), `{"seq":1,"time":"2026-11-20T10:00:00Z","service":"webpush","conn":1,"size":0,"status":201,"delivered":true,"payload":""}`},
	} {
		require.NoError(t, json.Unmarshal([]byte(c.text), c.into), name)
		back, err := json.Marshal(c.into)
		require.NoError(t, err, name)
		require.JSONEq(t, c.text, string(back), name)
	}
	var a Answer
	require.NoError(t, json.Unmarshal([]byte(`{"delay":"150ms"}`), &a))
	require.Equal(t, 150*time.Millisecond, a.Delay)
}
