package faults

import (
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// rotation (F19): fresh credentials under load, then a key that Apple does not know. The app is paused, nobody is
// rejected, and the backlog follows the fix.
func (x *rig) rotation() {
	x.startCalm(quick())
	old := x.sim.Info.Credentials
	stop := x.load(x.mixed)
	fresh := x.credentials("fresh", simulator.CredentialOptions{})
	vapid := old.VAPIDKeyFile // stays: a subscription knows one application server key
	fresh.VAPIDKeyFile = vapid
	x.sim.Info.Credentials = fresh
	x.reconfigure(func(*harness.Settings) {})
	time.Sleep(500 * time.Millisecond)
	require.NoError(x, x.sim.Revoke(x.ctx(), old.APNsKeyID))
	time.Sleep(500 * time.Millisecond)

	require.NoError(x, x.sim.Revoke(x.ctx(), fresh.APNsKeyID)) // and now the new one, too
	x.until("the pause", func() bool { return x.sum(x.node(), "pushgate_app_paused", `app="`+harness.AppIOS+`"`) == 1 })
	x.during(time.Second, time.Minute)
	for _, n := range x.nodes {
		ready := n.Admin(x, "/readyz")
		require.Equal(x, http.StatusOK, ready.Status, "a paused app leaves the gateway ready")
	}
	mended := x.credentials("mended", simulator.CredentialOptions{})
	mended.VAPIDKeyFile = vapid
	x.sim.Info.Credentials = mended
	x.reconfigure(func(*harness.Settings) {})
	x.faultEnds()
	x.until("the end of the pause", func() bool { return x.sum(x.node(), "pushgate_app_paused", `app="`+harness.AppIOS+`"`) == 0 })
	stop()
	x.settle()
	x.verdict()
	require.Empty(x, x.sender.rejected)
	x.nobodyRefused()
	require.Positive(x, x.queued(harness.AppIOS))
}

// slip is a credential that an operator got wrong.
type slip struct {
	name   string
	app    string // as the configuration names it
	device func(int) device
	wrong  func(*simulator.Credentials) // what is installed instead
	revoke func(simulator.Credentials) string
}

// wrongCredentials (F19): what is installed by mistake, or taken away by the push service. The app is paused and its
// callers do not notice, the others go on, nobody is rejected, and the backlog follows the fix.
func (x *rig) wrongCredentials() {
	x.startCalm(quick())
	strange := x.credentials("strange", simulator.CredentialOptions{ProjectID: "another-project", TeamID: "ANOTHER042"})
	for i, s := range []slip{
		{"another key under the right name", harness.AppIOS, iosDevice, func(c *simulator.Credentials) { c.APNsKeyFile = strange.APNsKeyFile }, nil},
		{"the key of another team", harness.AppIOS, iosDevice, func(c *simulator.Credentials) {
			c.APNsKeyFile, c.APNsKeyID = strange.APNsKeyFile, strange.APNsKeyID
		}, nil},
		{"a key that was revoked", harness.AppIOS, iosDevice, nil, func(c simulator.Credentials) string { return c.APNsKeyID }},
		{"a certificate that was revoked", harness.AppCert, certDevice, nil, func(c simulator.Credentials) string { return c.APNsCertSerial }},
		{"another project's service account", harness.AppAndroid, androidDevice, func(c *simulator.Credentials) { c.ServiceAccountFile = strange.ServiceAccountFile }, nil},
		{"a service account that was revoked", harness.AppAndroid, androidDevice, nil, func(c simulator.Credentials) string { return c.ServiceAccountKeyID }},
	} {
		x.slipped(s, 100*i)
	}
	x.brokenKeyFile()
	x.otherVAPIDKey()
	x.faultEnds()
	x.settle()
	x.verdict()
	require.Empty(x, x.sender.rejected)
	x.nobodyRefused()
}

// slipped makes one mistake and mends it.
func (x *rig) slipped(s slip, from int) {
	x.Helper()
	good := x.sim.Info.Credentials
	if s.wrong != nil {
		s.wrong(&x.sim.Info.Credentials)
		x.reconfigure(func(*harness.Settings) {})
	} else {
		require.NoError(x, x.sim.Revoke(x.ctx(), s.revoke(good)), s.name)
		require.NoError(x, x.sim.RevokeAccessTokens(x.ctx()), s.name) // a Google account that is gone has no session left
	}
	before := x.queued(s.app)
	x.take(20, to(func(i int) device { return s.device(from + i) }))
	for _, n := range x.nodes {
		x.until(s.name+": the pause", func() bool { return x.sum(n, "pushgate_app_paused", `app="`+s.app+`"`) == 1 })
		require.Equal(x, http.StatusOK, n.Admin(x, "/readyz").Status, "a paused app leaves the gateway ready")
	}
	require.InDelta(x, 20, x.queued(s.app)-before, 0, s.name)
	x.take(5, func(i int) order { return order{opMatrix, []device{x.web[i%len(x.web)]}} })

	x.sim.Info.Credentials = good
	if s.revoke != nil {
		vapid := good.VAPIDKeyFile // stays: a subscription knows one application server key
		x.sim.Info.Credentials = x.credentials("after "+s.name, simulator.CredentialOptions{})
		x.sim.Info.Credentials.VAPIDKeyFile = vapid
	}
	x.reconfigure(func(*harness.Settings) {})
	x.until(s.name+": the end of the pause", func() bool {
		// A node that finds no row left probes with what its callers bring.
		x.take(len(x.nodes), to(func(i int) device { return s.device(from + 50 + i) }))
		paused := 0.0
		for _, n := range x.nodes {
			paused += x.sum(n, "pushgate_app_paused", `app="`+s.app+`"`)
		}
		return paused == 0
	})
	x.settle()
	require.Empty(x, x.sender.rejected, s.name)
}

// brokenKeyFile: a file that is no key is refused at the reload, and the credentials in use stay.
func (x *rig) brokenKeyFile() {
	x.Helper()
	good := x.sim.Info.Credentials
	broken := filepath.Join(x.TempDir(), "AuthKey_BROKEN.p8")
	require.NoError(x, os.WriteFile(broken, []byte("-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----\n"), 0o600))
	x.sim.Info.Credentials.APNsKeyFile = broken
	before := x.queued(harness.AppIOS)
	for i, n := range x.nodes {
		n.Configure(x, x.settings[i])
	}
	x.reload(false)
	x.take(10, to(func(i int) device { return iosDevice(5000 + i) }))
	require.InDelta(x, before, x.queued(harness.AppIOS), 0, "the old key is still in use")
	x.sim.Info.Credentials = good
	x.reconfigure(func(*harness.Settings) {})
}

// otherVAPIDKey: browsers know the key that they subscribed with, so each answers 403 to another one, about itself: it is
// dead-lettered, never rejected, and goes on when the old key is back.
func (x *rig) otherVAPIDKey() {
	x.Helper()
	good := x.sim.Info.Credentials
	x.sim.Info.Credentials.VAPIDKeyFile = x.credentials("vapid", simulator.CredentialOptions{}).VAPIDKeyFile
	x.reconfigure(func(*harness.Settings) {})
	before := x.deadLettered()
	for _, d := range x.web {
		event := x.sender.event()
		require.True(x, x.sender.send(opMatrix, event, d))
		x.excuse("made for another VAPID key", item{event, d.token})
	}
	require.EqualValues(x, len(x.web), x.deadLettered()-before)
	x.sim.Info.Credentials = good
	x.reconfigure(func(*harness.Settings) {})
	x.take(5, func(i int) order { return order{opMatrix, []device{x.web[i%len(x.web)]}} })
	x.settle()
}

// deadLettered counts what was given up, on all nodes.
func (x *rig) deadLettered() (sum int64) {
	x.Helper()
	for _, n := range x.nodes {
		sum += n.Metrics(x).Devices("dead_lettered")
	}
	return sum
}

// credentials makes fresh ones.
func (x *rig) credentials(name string, o simulator.CredentialOptions) simulator.Credentials {
	x.Helper()
	c, err := x.sim.WriteCredentials(x.ctx(), filepath.Join(x.TempDir(), name), o)
	require.NoError(x, err)
	return c
}

// certDevice is a device of the app with a certificate.
func certDevice(n int) device {
	d := iosDevice(50_000 + n)
	d.app = harness.AppCert
	return d
}
