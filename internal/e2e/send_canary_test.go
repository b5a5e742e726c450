package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/ops/opstest"
	"github.com/pushgate/pushgate/internal/simulator"
	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

// TestSend_ShowsNothing looks for a person, payloads and keys in everything that an operator can see, at debug level:
// while events wait for a dead gateway, after a kill, and after they have gone through a gateway that had to keep them.
func TestSend_ShowsNothing(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		showsNothing(t, "", nil)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := pgtest.URL(t)
		showsNothing(t, postgresSection(t, url), func(t *testing.T, into map[string]string, prefix string) {
			for _, table := range strings.Split(pgtest.Text(t, url, "SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = 'public'"), ",") {
				into[prefix+table] = pgtest.Text(t, url, "SELECT coalesce(string_agg(t::text, E'\n'), '') FROM "+table+" t")
			}
		})
	})
}

// showsNothing runs the test on one store; dump adds what the sender's data_dir does not hold.
func showsNothing(t *testing.T, storage string, dump func(t *testing.T, into map[string]string, prefix string)) {
	t.Helper()
	const user = "@canary-user:example.com"
	l := newLoop(t, loopOptions{storage: storage, level: "debug", users: []string{ada, user}, gateway: `{require_client_cert: true, retry: {initial: 1s, max: 1s}}`})
	ios, android, _ := threePhones(t)
	l.enroll(t, ada, ios, erpActivate)
	l.enroll(t, ada, android, erpActivate)
	matrix := strings.Repeat("c4", 32)
	l.app(t, user, http.MethodPost, "/_matrix/client/v3/pushers/set", `{"kind":"http","app_id":"`+harness.AppIOS+`","pushkey":"`+matrix+`","app_display_name":"canary-app",
		"device_display_name":"canary-phone","lang":"en","data":{"url":"https://`+l.at+`/_matrix/push/v1/notify","x":"canary-data"}}`)
	canaries := []string{
		"X110411675", ada, user, tokenOf(ada), tokenOf(user), ios.key, android.key, matrix, ios.keyID, android.keyID, ios.iss, android.iss,
		"canary-identifier", "canary-message", "canary-reference", "canary-body", "canary-room", "canary-sender", "canary-event",
		"canary-app", "canary-phone", "canary-data", "canary-once", "Google Pixel 9", "canary-refused",
	}
	for _, p := range []phone{ios, android} { // what only a store of plain keys could show
		for _, month := range []string{p.created, thisMonth(t, 0)} {
			key, err := p.keyOf(month)
			require.NoError(t, err)
			canaries = append(canaries, string(key))
		}
	}
	event := notice(ada, erpActivate, `{"Identifier":"canary-identifier","Message":"canary-message"}`, `,"reference":"canary-reference"`)
	matrixEvent := `{"user_id":"` + user + `","event_id":"$canary-event","room_id":"!canary-room","type":"m.room.message","sender":"@canary-sender:x","content":{"body":"canary-body"}}`

	l.gateway.Kill()
	l.gateway.Wait(t)
	_, _ = l.status(t, submitPath, "canary-once", event)
	l.accept(t, eventPath, matrixEvent)
	for _, body := range []string{
		`{"canary-refused":`, notice(ada, "canary-refused", `{}`, ""), notice("kvnr:canary-refused", erpActivate, `{}`, ""),
		notice(ada, erpActivate, `{"Identifier":"`+strings.Repeat("canary-refused", 100)+`"}`, ""), notice(ada, erpActivate, `"canary-refused"`, ""),
	} {
		require.GreaterOrEqual(t, l.submit(t, submitPath, "canary-once", body).Status, 400)
	}
	require.Eventually(t, func() bool {
		m, err := l.metrics()
		return err == nil && strings.Contains(m, "\npushgate_outbox_rows 3\n") &&
			strings.Contains(m, `operation="sealed"`) && strings.Contains(m, `operation="matrix"`)
	}, harness.Patience, 50*time.Millisecond, "calls must have failed")
	visible := map[string]string{}
	visible["metrics of the sender, waiting"], _ = l.metrics()
	log := l.Process
	l.Kill()
	l.Wait(t)
	visible["log of the sender, killed"] = log.Output()
	stored := "killed sender: pushgate.db"
	collect(t, visible, "killed sender: ", filepath.Join(l.dir, "data"))
	if dump != nil {
		stored = "killed sender: outbox"
		dump(t, visible, "killed sender: ")
		require.Contains(t, visible["killed sender: pusher"], erpIOS, "an app is no secret: the rows are among what is searched")
	}

	require.NoError(t, l.sim.Script(t.Context(), simulator.APNs, ios.key, simulator.Answer{Reason: "InternalServerError"}))
	require.NoError(t, l.sim.Script(t.Context(), simulator.FCM, android.key, simulator.Answer{Reason: "UNREGISTERED"}))
	l.gateway.Up(t)
	l.up(t)
	l.sim.Delivered(t, 2)
	l.settled(t)
	require.Contains(t, ios.reads(t, l.arrivals(t, ios.key)[0]), "canary-message", "what waited was the event")
	visible["metrics of the sender"], _ = l.metrics()
	visible["metrics of the gateway"] = l.gateway.Admin(t, "/metrics").Body
	l.Kill()
	l.Wait(t)
	l.gateway.Kill()
	l.gateway.Wait(t)
	visible["log of the sender"], visible["log of the gateway"] = l.Output(), l.gateway.Output()
	collect(t, visible, "sender: ", filepath.Join(l.dir, "data"))
	if dump != nil {
		dump(t, visible, "sender: ")
	}
	collect(t, visible, "gateway: ", filepath.Join(l.gateway.Dir, "data"))

	require.Contains(t, visible["log of the sender, killed"], `"operation":"submitNotification"`)
	require.Contains(t, visible["log of the sender"], `"audit":true`)
	require.NotEmpty(t, visible[stored], "the database must be among what is searched: %v", len(visible))
	for where, text := range visible {
		opstest.RequireClean(t, where, []byte(text), canaries...)
	}
}

// collect reads every file below dir.
func collect(t testing.TB, into map[string]string, prefix, dir string) {
	t.Helper()
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		into[prefix+info.Name()] = string(text)
		return err
	}))
}
