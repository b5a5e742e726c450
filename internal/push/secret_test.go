package push

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

const canary = "canary-1f0c"

// full has the canary in every place that could print.
func full() Notification {
	return Notification{
		Device: Device{AppID: "app", Pushkey: canary, Data: Object(`{"a":"` + canary + `"}`), Tweaks: Object(`"` + canary + `"`)},
		Event:  &Event{ID: NewText(canary), Sender: NewText(canary), Content: Object(`"` + canary + `"`)},
		Sealed: &Sealed{Ciphertext: NewText(canary), KeyIdentifier: NewText(canary), Identifier: NewText(canary)},
	}
}

func TestSecrets_CannotPrintThemselves(t *testing.T) {
	t.Parallel()
	n := full()
	values := []any{n, &n, n.Device, &n.Device, n.Event, *n.Event, n.Sealed, *n.Sealed, n.Device.Pushkey, n.Device.Data, n.Event.ID,
		[]Notification{n}, map[string]any{"n": &n}, struct{ N *Notification }{&n}, struct{ E *Event }{n.Event}}
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t"} {
			require.NotContains(t, fmt.Sprintf(verb, v), canary, "%T with %s", v, verb)
			require.NotContains(t, fmt.Sprintf(verb, v), fmt.Sprintf("%x", canary), "%T with %s", v, verb)
		}
		text, err := json.Marshal(v)
		require.NoError(t, err)
		require.NotContains(t, string(text), canary, "%T as JSON", v)
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", slog.Any("v", v))
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", slog.Any("v", v))
		require.NotContains(t, log.String(), canary, "%T in a log", v)
	}
}

func TestKindOf_UnknownErrorsAreInternal(t *testing.T) {
	t.Parallel()
	require.Equal(t, Internal, KindOf(fmt.Errorf("x")))
	require.Equal(t, Limited, KindOf(fmt.Errorf("wrapped: %w", &Error{Kind: Limited})))
}

func TestZeroValues_DoNoHarm(t *testing.T) {
	t.Parallel()
	require.Equal(t, RetryAfter, Outcome{}.Verdict, "an outcome nobody filled in must never delete a pusher")
	require.Equal(t, StateUnsettled, Delivery{}.State, "a delivery nobody filled in must never acknowledge")
	require.Equal(t, High, Notification{}.Priority)
	require.Equal(t, Internal, (&Error{}).Kind)
}
