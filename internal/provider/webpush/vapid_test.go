package webpush

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func TestVAPID_OneTokenForEachServiceAndHour(t *testing.T) {
	t.Parallel()
	h := &recorder{status: http.StatusCreated}
	c := client(t, h)
	now := noon
	c.now = func() time.Time { return now }
	c.vapid.now = c.now
	p256dh, auth := browser(t)
	token := func(host string) string {
		d := device(t, p256dh, map[string]any{"endpoint": "https://" + host + "/send/x", "auth": auth})
		_, err := c.Send(t.Context(), push.Notification{Device: d, Event: event(`{"body":"hi"}`)}, push.Hash{})
		require.NoError(t, err)
		header := h.requests[len(h.requests)-1].Header.Get("Authorization")
		require.Regexp(t, `^vapid t=[\w.-]+, k=[\w-]+$`, header)
		return header
	}
	const mozilla, apple = "updates.push.services.mozilla.com", "web.push.apple.com"
	first := token(mozilla)
	require.Equal(t, first, token(mozilla), "the same service")
	other := token(apple)
	require.NotEqual(t, first, other, "the audience is another")
	now = now.Add(59 * time.Minute)
	require.Equal(t, first, token(mozilla))
	now = now.Add(time.Minute)
	renewed := token(mozilla)
	require.NotEqual(t, first, renewed, "an hour later")
	now = noon.Add(-10 * time.Hour)
	require.NotEqual(t, renewed, token(mozilla), "the clock was set back")
}

func TestVAPID_ARefusedTokenIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		v := newVAPID(&recorder{status: status}, time.Now)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://web.push.apple.com/x", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "first")
		res, err := v.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, "second", v.token("https://web.push.apple.com", "second"))
		v.drop("https://web.push.apple.com", "first")
		require.Equal(t, "second", v.token("https://web.push.apple.com", "third"), "somebody else's refusal came late")
	}
}

func TestVAPID_StrangersCannotFillTheMemory(t *testing.T) {
	t.Parallel()
	v := newVAPID(nil, time.Now)
	for i := range 3 * maxOrigins {
		v.token(fmt.Sprintf("https://%d.example", i), "t")
	}
	require.LessOrEqual(t, len(v.tokens), maxOrigins)
}
