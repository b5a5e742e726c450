package pushgateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// plainBatch returns a batch of one item with n devices k0, k1, ...
func plainBatch(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf(`{"app_id":"app","pushkey":"k%d"}`, i)
	}
	return `{"notifications":[{"id":"i","notification":{"event_id":"$e","devices":[` + strings.Join(keys, ",") + `]}}]}`
}

func TestBatch_ItemStatus(t *testing.T) {
	t.Parallel()
	const (
		D = push.StateDelivered
		Q = push.StateQueued
		R = push.StateRejected
		A = push.StateUnknownApp
		M = push.StateUndeliverable
		U = push.StateUnsettled
	)
	for name, c := range map[string]struct {
		states []push.State
		want   string // status, rejected, error of the one item
	}{
		"delivered":                  {[]push.State{D}, `"status":"success","rejected":[]`},
		"queued":                     {[]push.State{Q}, `"status":"success","rejected":[]`},
		"delivered and queued":       {[]push.State{D, Q}, `"status":"success","rejected":[]`},
		"dead":                       {[]push.State{R}, `"status":"failed","rejected":["k0"],"error":"All pushkeys are rejected."`},
		"all dead":                   {[]push.State{R, R}, `"status":"failed","rejected":["k0","k1"],"error":"All pushkeys are rejected."`},
		"some dead":                  {[]push.State{R, D}, `"status":"partial","rejected":["k0"]`},
		"some dead, others queued":   {[]push.State{Q, R, D}, `"status":"partial","rejected":["k1"]`},
		"unknown app":                {[]push.State{A}, `"status":"failed","rejected":[],"error":"The notification cannot be delivered."`},
		"undeliverable":              {[]push.State{M}, `"status":"failed","rejected":[],"error":"The notification cannot be delivered."`},
		"unsettled":                  {[]push.State{U}, `"status":"failed","rejected":[],"error":"The notification could not be taken over. Send it again."`},
		"failed and delivered":       {[]push.State{D, U, D}, `"status":"failed","rejected":[],"error":"The notification could not be taken over. Send it again."`},
		"failed and dead":            {[]push.State{R, U}, `"status":"failed","rejected":["k0"],"error":"The notification could not be taken over. Send it again."`},
		"failed for several reasons": {[]push.State{D, A, U}, `"status":"failed","rejected":[],"error":"The notification cannot be delivered."`},
		"a state nobody knows":       {[]push.State{99}, `"status":"failed","rejected":[],"error":"The notification cannot be delivered."`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, nil)
			e.gateway.answer = states(c.states...)
			w := e.post(pathBatch, plainBatch(len(c.states)))
			require.Equal(t, http.StatusOK, w.Code)
			summary := map[bool]string{true: `{"total":1,"successful":1,"failed":0,"partial":0}`}
			switch {
			case strings.Contains(c.want, "partial"):
				summary[true] = `{"total":1,"successful":0,"failed":0,"partial":1}`
			case strings.Contains(c.want, "failed"):
				summary[true] = `{"total":1,"successful":0,"failed":1,"partial":0}`
			}
			require.JSONEq(t, `{"results":[{"id":"i",`+c.want+`}],"summary":`+summary[true]+`}`, w.Body.String())
		})
	}
}

func TestBatch_TheGatewaysTextIsTheItemsError(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	e.gateway.answer = func(context.Context, []push.Notification) ([]push.Delivery, error) {
		return []push.Delivery{{State: push.StateRejected, Text: "ignored"}, {State: push.StateUnknownApp, Text: "No such app."}, {State: push.StateUnsettled, Text: "later"}}, nil
	}
	require.Contains(t, e.post(pathBatch, plainBatch(3)).Body.String(), `"error":"No such app."`)
}

func TestBatch_ResultsKeepTheOrderAndTheSummaryAddsUp(t *testing.T) {
	t.Parallel()
	for _, path := range []string{pathBatch, pathEncrypted} {
		e := newEdge(t, nil)
		e.gateway.answer = states(push.StateDelivered, push.StateRejected, push.StateQueued, push.StateUnknownApp)
		w := e.post(path, batchOf(path, "z", "a", "Ö", "<&>"))
		require.JSONEq(t, `{"results":[
			{"id":"z","status":"success","rejected":[]},
			{"id":"a","status":"failed","rejected":["key-a"],"error":"All pushkeys are rejected."},
			{"id":"Ö","status":"success","rejected":[]},
			{"id":"<&>","status":"failed","rejected":[],"error":"The notification cannot be delivered."}],
			"summary":{"total":4,"successful":2,"failed":2,"partial":0}}`, w.Body.String())
		require.Equal(t, 1, e.gateway.calls, "one call for the whole batch")
		require.Len(t, e.gateway.got, 4)
	}
}

func TestNotify_RejectedInDeviceOrderEachOnce(t *testing.T) {
	t.Parallel()
	const body = `{"notification":{"devices":[{"app_id":"a","pushkey":"z"},{"app_id":"a","pushkey":"m"},{"app_id":"a","pushkey":"b"},{"app_id":"b","pushkey":"z"},{"app_id":"a","pushkey":"ü/+="}]}}`
	for _, path := range []string{pathMatrix, pathNotify} {
		e := newEdge(t, nil)
		e.gateway.answer = states(push.StateRejected, push.StateDelivered, push.StateRejected, push.StateRejected, push.StateRejected)
		require.JSONEq(t, `{"rejected":["z","b","ü/+="]}`, e.post(path, body).Body.String())
	}
}

func TestNotify_FailuresThatCannotBeSaidAre200(t *testing.T) {
	t.Parallel()
	for _, path := range []string{pathMatrix, pathNotify} {
		e := newEdge(t, nil)
		e.gateway.answer = states(push.StateUnknownApp, push.StateUndeliverable, push.StateQueued)
		w := e.post(path, `{"notification":{"devices":[{"app_id":"a","pushkey":"1"},{"app_id":"a","pushkey":"2"},{"app_id":"a","pushkey":"3"}]}}`)
		require.Equal(t, http.StatusOK, w.Code)
		require.JSONEq(t, `{"rejected":[]}`, w.Body.String())
	}
}

func TestNotify_AnUnsettledDeviceFailsTheRequest(t *testing.T) {
	t.Parallel()
	for _, path := range []string{pathMatrix, pathNotify} {
		e := newEdge(t, nil)
		e.gateway.answer = states(push.StateDelivered, push.StateUnsettled)
		w := e.post(path, `{"notification":{"devices":[{"app_id":"a","pushkey":"1"},{"app_id":"a","pushkey":"2"}]}}`)
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "1", w.Header().Get("Retry-After"))
	}
}

func TestDeliverErrors(t *testing.T) {
	t.Parallel()
	const secret = "c4n4ry-secret"
	for name, c := range map[string]struct {
		err        error
		status     int
		retryAfter string
		texts      [2]string // notify, batch
	}{
		"unavailable": {
			&push.Error{Kind: push.Unavailable, Msg: "queue full", RetryAfter: 1500 * time.Millisecond, Err: errors.New("disk " + secret)}, 503, "2",
			[2]string{"Push Gateway under maintenance or overloaded.", "Push Gateway under maintenance or overloaded."},
		},
		"limited":       {&push.Error{Kind: push.Limited}, 503, "1", [2]string{"Push Gateway under maintenance or overloaded.", "Push Gateway under maintenance or overloaded."}},
		"wrapped":       {fmt.Errorf("deliver %s: %w", secret, &push.Error{Kind: push.Unavailable, RetryAfter: time.Minute}), 503, "60", [2]string{"Push Gateway under maintenance or overloaded.", "Push Gateway under maintenance or overloaded."}},
		"internal":      {&push.Error{Kind: push.Internal, Msg: secret}, 500, "", [2]string{"Unexpected failure during processing.", "Unexpected failure during batch processing."}},
		"unknown":       {errors.New(secret), 500, "", [2]string{"Unexpected failure during processing.", "Unexpected failure during batch processing."}},
		"forbidden":     {&push.Error{Kind: push.Forbidden, Msg: "no"}, 401, "", [2]string{"Missing or invalid mutual TLS (mTLS) certificate.", "Missing or invalid mutual TLS (mTLS) certificate."}},
		"a kind of mud": {&push.Error{Kind: 99, Msg: secret}, 500, "", [2]string{"Unexpected failure during processing.", "Unexpected failure during batch processing."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, nil)
			e.gateway.answer = func(context.Context, []push.Notification) ([]push.Delivery, error) { return nil, c.err }
			for _, path := range paths() {
				if path == pathMatrix && c.status == http.StatusUnauthorized {
					continue // not in that API; the gateway never says so there
				}
				w := e.post(path, validBody(path))
				require.Equal(t, c.status, w.Code)
				require.Equal(t, c.retryAfter, w.Header().Get("Retry-After"))
				require.NotContains(t, w.Body.String(), secret)
				switch path {
				case pathNotify:
					require.JSONEq(t, `{"error":`+quote(c.texts[0])+`}`, w.Body.String())
				case pathBatch, pathEncrypted:
					require.JSONEq(t, `{"error":`+quote(c.texts[1])+`}`, w.Body.String())
				}
			}
		})
	}
}

func TestDeliver_AWrongNumberOfDeliveriesIsInternal(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 2} {
		e := newEdge(t, nil)
		e.gateway.answer = func(context.Context, []push.Notification) ([]push.Delivery, error) {
			return make([]push.Delivery, n), nil
		}
		for _, path := range paths() {
			require.Equal(t, http.StatusInternalServerError, e.post(path, validBody(path)).Code)
		}
	}
}

func TestDeliver_SeesTheCallersCancellationAndRequestID(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	e.gateway.answer = func(got context.Context, n []push.Notification) ([]push.Delivery, error) {
		require.Equal(t, "req-1", push.RequestID(got))
		require.NoError(t, got.Err())
		cancel()
		<-got.Done()
		return states(push.StateQueued)(got, n)
	}
	r := jsonRequest(pathNotify).WithContext(ctx)
	r.Header.Set("X-Request-Id", "req-1")
	require.Equal(t, http.StatusOK, e.do(r).Code)
}
