package pusher_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

const (
	activate = "erp.task.activate"
	accept   = "erp.task.accept"
	message  = "erp.communication.new" // enabled by default in the tests
)

// A_27193: with a registration there is a list of all channel ids; here it is the configuration, overlaid.
func TestChannels_AreTheConfigurationOverlaidWithChoices(t *testing.T) {
	t.Parallel()
	b := setup(t)
	defaults := []pusher.Channel{{ID: activate}, {ID: accept}, {ID: message, Status: pusher.ChannelEnabled}}
	require.Equal(t, defaults, b.AvailableChannels(push.RealmFachdienst))
	require.Empty(t, b.AvailableChannels(push.RealmMatrix))

	key := registered(t, b, b.erika)
	require.Equal(t, defaults, channels(t, b, b.erika, key))

	// "If a channel is not present in the POST request, the state of the channel on the server is not changed."
	choose(t, b, b.erika, key, pusher.ChannelChange{ID: accept, Status: "enabled"})
	choose(t, b, b.erika, key, pusher.ChannelChange{ID: message, Status: "disabled"})
	require.Equal(t, []pusher.Channel{{ID: activate}, {ID: accept, Status: pusher.ChannelEnabled}, {ID: message, Status: pusher.ChannelDisabled}},
		channels(t, b, b.erika, key))

	// The C++ Fachdienst ignores a POST with not_set, so that an enabled channel stays enabled. Here it can be set.
	choose(t, b, b.erika, key, pusher.ChannelChange{ID: accept, Status: "not_set"}, pusher.ChannelChange{ID: message, Status: "not_set"})
	require.Equal(t, []pusher.Channel{{ID: activate}, {ID: accept}, {ID: message}}, channels(t, b, b.erika, key))

	// Of one id listed twice the last counts; an empty list changes nothing.
	choose(t, b, b.erika, key, pusher.ChannelChange{ID: accept, Status: "disabled"}, pusher.ChannelChange{ID: accept, Status: "enabled"})
	choose(t, b, b.erika, key)
	require.Equal(t, pusher.ChannelEnabled, channels(t, b, b.erika, key)[1].Status)
	require.Equal(t, defaults, b.AvailableChannels(push.RealmFachdienst), "nobody's choice changes the defaults")
}

// facts/gematik.md 3.4: an unknown id or state is 400, and then nothing at all is changed.
func TestSetChannels_RefusesWhatIsUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key := registered(t, b, b.erika)
	before := channels(t, b, b.erika, key)
	first := pusher.ChannelChange{ID: accept, Status: "enabled"}
	for _, tt := range []struct {
		name, id, status, msg string
	}{
		{"unknown id", "erp.task.vertreter", "enabled", "unknown channel"},
		{"id in capitals", "ERP.task.accept", "enabled", "unknown channel"},
		{"empty id", "", "enabled", "unknown channel"},
		{"fourth state", activate, "muted", "status must be enabled, disabled or not_set"},
		{"state in capitals", activate, "Enabled", "status must be enabled, disabled or not_set"},
		{"empty state", activate, "", "status must be enabled, disabled or not_set"},
	} {
		err := b.SetChannels(t.Context(), b.erika, key, []pusher.ChannelChange{first, {ID: tt.id, Status: tt.status}})
		requireError(t, err, "M_INVALID_PARAM", tt.msg)
		require.Equalf(t, before, channels(t, b, b.erika, key), "%s", tt.name)
	}
}

// A person sees and changes only their own devices (A_28530); what is not theirs does not exist.
func TestChannels_UnknownPushkey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key := registered(t, b, b.erika)
	on := []pusher.ChannelChange{{ID: accept, Status: "enabled"}}
	for name, k := range map[string]push.Pushkey{
		"of another person": key, "never seen": "never", "empty": "", "not UTF-8": "\xff", "NUL": "\x00",
		"longer than any": push.Pushkey(strings.Repeat("k", 513)),
	} {
		_, err := b.Channels(t.Context(), b.max, k)
		require.ErrorIsf(t, err, pusher.ErrUnknownPushkey, "%s", name)
		requireError(t, err, "M_INVALID_PARAM", "there is no pusher with this pushkey")
		require.ErrorIsf(t, b.SetChannels(t.Context(), b.max, k, on), pusher.ErrUnknownPushkey, "%s", name)
		require.ErrorIsf(t, b.SetChannels(t.Context(), b.max, k, nil), pusher.ErrUnknownPushkey, "%s", name)
	}
	require.Equal(t, pusher.ChannelNotSet, channels(t, b, b.erika, key)[1].Status)

	// A_27197-01: the list goes with the registration, and does not come back with it.
	require.NoError(t, b.SetChannels(t.Context(), b.erika, key, on))
	c := gematikChange()
	require.NoError(t, b.Set(t.Context(), b.erika, "", pusher.Change{Delete: true, AppID: c.AppID, Pushkey: c.Pushkey}))
	_, err := b.Channels(t.Context(), b.erika, key)
	require.ErrorIs(t, err, pusher.ErrUnknownPushkey)
	registered(t, b, b.erika)
	require.Equal(t, pusher.ChannelNotSet, channels(t, b, b.erika, key)[1].Status)
}

// The path names a pushkey without its app. What one app of the phone has enabled does arrive there.
func TestChannels_OfSeveralAppsWithOnePushkey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key := registered(t, b, b.erika)
	choose(t, b, b.erika, key, pusher.ChannelChange{ID: accept, Status: "enabled"}, pusher.ChannelChange{ID: activate, Status: "disabled"})
	second := with(gematikChange(), func(c *pusher.Change) { c.AppID = push.NewText("a.second.app") })
	require.NoError(t, b.Set(t.Context(), b.erika, "", second))
	require.Equal(t, []pusher.Channel{
		{ID: activate, Status: pusher.ChannelDisabled}, {ID: accept, Status: pusher.ChannelEnabled}, {ID: message, Status: pusher.ChannelEnabled},
	}, channels(t, b, b.erika, key))
	choose(t, b, b.erika, key, pusher.ChannelChange{ID: accept, Status: "not_set"})
	require.Equal(t, pusher.ChannelNotSet, channels(t, b, b.erika, key)[1].Status)
}

// A_27196: the status is checked before sending, and only enabled is on.
func TestCatalog_Wants(t *testing.T) {
	t.Parallel()
	c := pusher.NewCatalog([]pusher.ChannelConfig{{ID: "off"}, {ID: "on", Default: pusher.ChannelEnabled}})
	tests := []struct {
		name    string
		choices map[string]pusher.ChannelStatus
		id      string
		want    bool
	}{
		{"default not set", nil, "off", false},
		{"default enabled", nil, "on", true},
		{"enabled", map[string]pusher.ChannelStatus{"off": pusher.ChannelEnabled}, "off", true},
		{"disabled", map[string]pusher.ChannelStatus{"on": pusher.ChannelDisabled}, "on", false},
		{"not set on purpose", map[string]pusher.ChannelStatus{"on": pusher.ChannelNotSet}, "on", false},
		{"not configured any more", map[string]pusher.ChannelStatus{"gone": pusher.ChannelEnabled}, "gone", false},
		{"a choice about another channel", map[string]pusher.ChannelStatus{"on": pusher.ChannelEnabled}, "off", false},
	}
	for _, tt := range tests {
		require.Equalf(t, tt.want, c.Wants(tt.choices, tt.id), "%s", tt.name)
	}
	require.False(t, pusher.Catalog{}.Wants(map[string]pusher.ChannelStatus{"on": pusher.ChannelEnabled}, "on"))
}

func TestChannelStatus_Words(t *testing.T) {
	t.Parallel()
	for word, status := range map[string]pusher.ChannelStatus{
		"enabled": pusher.ChannelEnabled, "disabled": pusher.ChannelDisabled, "not_set": pusher.ChannelNotSet,
	} {
		var read pusher.ChannelStatus
		require.NoError(t, read.UnmarshalText([]byte(word)))
		require.Equal(t, status, read)
		text, err := status.MarshalText()
		require.NoError(t, err)
		require.Equal(t, word, string(text))
	}
	read := pusher.ChannelEnabled
	require.Error(t, read.UnmarshalText([]byte("on")))
	require.Equal(t, pusher.ChannelEnabled, read)
	require.Equal(t, "not_set", pusher.ChannelStatus(99).String(), "an unknown state is off")
}

func registered(t *testing.T, b bundle, owner push.Owner) push.Pushkey {
	t.Helper()
	require.NoError(t, b.Set(t.Context(), owner, "", gematikChange()))
	return push.Pushkey(gematikChange().Pushkey.Reveal())
}

func channels(t *testing.T, b bundle, owner push.Owner, key push.Pushkey) []pusher.Channel {
	t.Helper()
	got, err := b.Channels(t.Context(), owner, key)
	require.NoError(t, err)
	return got
}

func choose(t *testing.T, b bundle, owner push.Owner, key push.Pushkey, changes ...pusher.ChannelChange) {
	t.Helper()
	require.NoError(t, b.SetChannels(t.Context(), owner, key, changes))
}
