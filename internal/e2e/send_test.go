package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// What the E-Rezept apps send, member for member (facts/gematik.md 3.6).
const (
	iosForm = `{"lang":"de","kind":"http","app_display_name":"E-Rezept","device_display_name":"iPhone","app_id":"` + erpIOS + `",
 "pushkey":"<key>","data":{"url":"<url>"},
 "encryption":{"method":"aes-hmac-sha256","time_iss_created":"<month>","iss":"<iss>","key_identifier":"<id>"},"append":false}`
	androidForm = `{"app_id":"` + erpAndroid + `","pushkey":"<key>","kind":"http","app_display_name":"E-Rezept","device_display_name":"Google Pixel 9",
 "lang":"de","append":true,"data":{"url":"<url>"},
 "encryption":{"method":"aes-hmac-sha256","time_iss_created":"<month>","iss":"<iss>","key_identifier":"<id>"}}`
)

const (
	ada = "kvnr:X110411675"
	bob = "kvnr:X110400002"
)

// threePhones are an iPhone whose chain began this month, and two Android phones whose chains began last month and a
// year ago: stepping to now crosses a month's border, and a year's.
func threePhones(t testing.TB) (ios, android, tablet phone) {
	return newPhone(erpIOS, strings.Repeat("a1", 32), thisMonth(t, 0)),
		newPhone(erpAndroid, "android:APA91bHPRgkF3JUikC4ENAHEeMrd41Zxv3hVZjC9KtT8OvPVGJ", thisMonth(t, 1)),
		newPhone(erpAndroid, "tablet:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx", thisMonth(t, 12))
}

// TestSend_EventsReachThePhonesThatWantThem closes the loop over three processes, on both stores and after a restart.
func TestSend_EventsReachThePhonesThatWantThem(t *testing.T) {
	t.Parallel()
	for name, storage := range map[string]func(t *testing.T) string{
		"sqlite":   func(*testing.T) string { return "{url: sqlite}" },
		"postgres": postgresStorage,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLoop(t, loopOptions{storage: storage(t), users: []string{ada}})
			ios, android, tablet := threePhones(t)
			l.enroll(t, ada, ios, erpActivate)
			l.enroll(t, ada, android, erpNew)
			l.enroll(t, ada, tablet, erpActivate, erpNew)

			month := thisMonth(t, 0)
			body := notice(ada, erpActivate, `{"Identifier":"160.000.226.545.733.51","IdentifierType":"TaskId","n":12345678901234567890}`, `,"prio":"high","reference":"audit-1"`)
			first, status := l.status(t, submitPath, "key-1", body)
			require.Equal(t, "accepted", status)
			again, _ := l.status(t, submitPath, "key-1", body)
			require.Equal(t, first, again, "a repeat is answered with the same id")
			l.sim.Delivered(t, 2)
			want := `{"Identifier":"160.000.226.545.733.51","IdentifierType":"TaskId","n":12345678901234567890,"ChannelId":"` + erpActivate + `"}`
			for p, priority := range map[phone]string{ios: "10", tablet: "high"} {
				got := l.arrivals(t, p.key)
				require.Len(t, got, 1)
				require.Equal(t, want, p.reads(t, got[0]), "compact, in order, with every digit")
				require.Equal(t, priority, got[0].Priority)
				in, err := unpack(got[0])
				require.NoError(t, err)
				require.Equal(t, "audit-1", in.Identifier)
				require.Contains(t, []string{month, thisMonth(t, 0)}, in.Month, "the key is of now, wherever the chain began")
			}
			require.Empty(t, l.arrivals(t, android.key), "it has not switched this channel on")

			l.settled(t) // what arrived but is not settled when the process is killed may ring again
			l.restart(t)
			again, _ = l.status(t, submitPath, "key-1", body)
			require.Equal(t, first, again, "a repeat is known after a restart")
			l.accept(t, submitPath, notice(ada, erpNew, `{"ChannelId":"erp.own.id","Identifier":"i","Message":"`+strings.Repeat("Grüße 🚀 ", 300)+`"}`, ""))
			l.sim.Delivered(t, 4)
			for p, arrived := range map[phone]int{android: 1, tablet: 2} {
				got := l.arrivals(t, p.key)
				require.Len(t, got, arrived)
				require.Equal(t, "normal", got[arrived-1].Priority, "normal is the default")
				requireShortened(t, p.reads(t, got[arrived-1]))
				in, err := unpack(got[arrived-1])
				require.NoError(t, err)
				require.Empty(t, in.Identifier, "there was no reference")
			}
			l.settled(t)
			require.Len(t, l.sim.Log(t), 4, "nobody else was rung, and nobody twice")
		})
	}
}

// TestSend_FormatNull registers a phone with a null that the sender takes for absent and the gateway's contract forbids.
func TestSend_FormatNull(t *testing.T) {
	t.Parallel()
	l := newLoop(t, loopOptions{users: []string{ada}})
	ios, android, _ := threePhones(t)
	l.enroll(t, ada, ios, erpActivate)
	form := strings.NewReplacer("<url>", "https://"+l.at+"/push/v1/", "<key>", android.key, "<month>", android.created, "<iss>", android.iss,
		"<id>", android.keyID, `"data":{`, `"data":{"format":null,"custom":null,`).Replace(androidForm)
	require.JSONEq(t, `{}`, l.app(t, ada, http.MethodPost, "/push/v1/pushers/set", form))
	require.JSONEq(t, `{}`, l.app(t, ada, http.MethodPost, "/push/v1/channels/"+android.key, `{"channels":[{"id":"`+erpActivate+`","status":"enabled"}]}`))
	l.accept(t, submitPath, notice(ada, erpActivate, `{"Identifier":"i"}`, ""))
	l.settled(t)
	require.Len(t, l.arrivals(t, ios.key), 1)
	require.Len(t, l.arrivals(t, android.key), 1)
	m, err := l.metrics()
	require.NoError(t, err)
	require.NotContains(t, m, `operation="sealed",result="status"`, "no batch was refused")
}

// requireShortened says that a message lost text where it may, and only there.
func requireShortened(t testing.TB, text string) {
	t.Helper()
	require.LessOrEqual(t, len(text), 1018)
	require.Greater(t, len(text), 1000, "no more than it must")
	var m map[string]string
	require.NoError(t, json.Unmarshal([]byte(text), &m))
	require.Equal(t, "erp.own.id", m["ChannelId"], "what the event says itself stays")
	require.Equal(t, "i", m["Identifier"])
	require.True(t, strings.HasSuffix(m["Message"], "..."), m["Message"])
	require.NotContains(t, m["Message"], "\ufffd", "cut between characters")
}

// TestSend_SaysWhyNot walks through everything that a backend is told when nobody is rung.
func TestSend_SaysWhyNot(t *testing.T) {
	t.Parallel()
	l := newLoop(t, loopOptions{users: []string{ada, bob}})
	ios, _, _ := threePhones(t)
	l.enroll(t, ada, ios, erpActivate)
	ok := notice(ada, "erp.task.close", `{"Identifier":"i"}`, "")
	_, status := l.status(t, submitPath, "once", ok)
	require.Equal(t, "no_active_channel", status)

	for name, tc := range map[string]struct {
		key, body string
		status    int
		code      string
	}{
		"nobody's phone":       {"", notice(bob, erpActivate, `{}`, ""), http.StatusNotFound, "USER_NOT_FOUND"},
		"another id type":      {"", strings.Replace(ok, "kvnr", "telematik-id", 1), http.StatusNotFound, "USER_NOT_FOUND"},
		"unknown channel":      {"", notice(ada, "erp.unknown", `{}`, ""), http.StatusUnprocessableEntity, "UNKNOWN_CHANNEL"},
		"not its channel":      {"", notice(ada, "other", `{}`, ""), http.StatusForbidden, "FORBIDDEN"},
		"another body":         {"once", notice(ada, erpActivate, `{"Identifier":"j"}`, ""), http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED"},
		"nothing to shorten":   {"", notice(ada, erpActivate, `{"Identifier":"`+strings.Repeat("x", 1100)+`"}`, ""), http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE"},
		"payload is no object": {"", notice(ada, erpActivate, `"text"`, ""), http.StatusBadRequest, "INVALID_PARAM"},
		"no channel":           {"", `{"user":{"id_type":"kvnr","value":"X110411675"},"payload":{}}`, http.StatusBadRequest, "INVALID_PARAM"},
	} {
		a := l.submit(t, submitPath, tc.key, tc.body)
		require.Equal(t, tc.status, a.Status, "%s: %s", name, a.Body)
		require.Contains(t, a.Body, tc.code, name)
	}
	url := "https://" + l.addr["tls"] + submitPath
	for name, want := range map[string]int{"": http.StatusUnauthorized, "stranger.example.com": http.StatusForbidden, "narrow.example.com": http.StatusForbidden} {
		c := l.gateway.Client(t)
		if name != "" {
			c = l.gateway.Client(t, name)
		}
		a, err := l.do(c, "", http.MethodPost, url, "", ok)
		require.NoError(t, err)
		require.Equal(t, want, a.Status, "%q: %s", name, a.Body)
	}
	a, err := l.do(l.backend, "", http.MethodGet, "https://"+l.addr["tls"]+"/notification-service/v1/users/X110411675/channels?id_type=kvnr&include_inactive=true", "", "")
	require.NoError(t, err)
	require.JSONEq(t, `{"user":{"id_type":"kvnr","value":"X110411675"},"has_registered_devices":true,"registered_device_count":1,"channels":[
		{"id":"erp.task.activate","status":"enabled"},{"id":"erp.communication.new","status":"not_set"},{"id":"erp.task.close","status":"not_set"}]}`, a.Body)
	l.settled(t)
	require.Empty(t, l.sim.Log(t))
}

// TestSend_DeadDevicesDisappear: what a provider calls dead goes, with a line for the auditor, and nothing else does.
func TestSend_DeadDevicesDisappear(t *testing.T) {
	t.Parallel()
	l := newLoop(t, loopOptions{users: []string{ada, bob}})
	ios, android, tablet := threePhones(t)
	other := newPhone(erpIOS, strings.Repeat("b2", 32), thisMonth(t, 0))
	l.enroll(t, ada, ios, erpActivate)
	l.enroll(t, ada, android, erpActivate)
	l.enroll(t, ada, tablet, erpActivate)
	l.enroll(t, bob, other, erpActivate)
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	require.NoError(t, l.sim.Script(ctx, simulator.APNs, ios.key, simulator.Answer{Reason: "Unregistered"}))
	require.NoError(t, l.sim.Script(ctx, simulator.FCM, android.key, simulator.Answer{Reason: "UNREGISTERED"}))
	// A device that the provider only fails to serve is another matter: it is tried again.
	require.NoError(t, l.sim.Script(ctx, simulator.APNs, other.key, simulator.Answer{Reason: "InternalServerError", RetryAfter: "1", Times: 1}))
	registered := time.Now().Unix()
	// The second after that is one that no two clocks of this test can disagree about.
	require.Eventually(t, func() bool { return time.Now().Unix() > registered+1 }, harness.Patience, 10*time.Millisecond,
		"a token that died in the second of its registration is not certainly dead")
	l.accept(t, submitPath, notice(ada, erpActivate, `{"Identifier":"i"}`, ""))
	l.accept(t, submitPath, notice(bob, erpActivate, `{"Identifier":"j"}`, ""))
	l.sim.Delivered(t, 2)
	l.settled(t)

	pushers := l.app(t, ada, http.MethodGet, "/push/v1/pushers", "")
	require.NotContains(t, pushers, ios.key)
	require.NotContains(t, pushers, android.key)
	require.Contains(t, pushers, tablet.key)
	require.Contains(t, l.app(t, bob, http.MethodGet, "/push/v1/pushers", ""), other.key)
	require.Len(t, l.arrivals(t, tablet.key), 1)
	require.Len(t, l.arrivals(t, other.key), 1)
	audit := 0
	for line := range strings.Lines(l.Output()) {
		if strings.Contains(line, `"audit":true`) {
			audit++
			require.Contains(t, line, `"count":1`)
		}
		require.NotContains(t, line, ios.key)
		require.NotContains(t, line, android.key)
	}
	require.Equal(t, 2, audit)

	l.enroll(t, ada, ios, erpActivate) // the token is alive again, with append false: only this one for this app
	l.accept(t, submitPath, notice(ada, erpActivate, `{"Identifier":"k"}`, ""))
	l.sim.Delivered(t, 4)
	require.Len(t, l.arrivals(t, ios.key), 1, "registered anew, it is rung again")
	require.Len(t, l.arrivals(t, tablet.key), 2)
}
