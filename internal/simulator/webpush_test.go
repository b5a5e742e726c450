package simulator

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	sender "github.com/SherClockHolmes/webpush-go"
	"github.com/stretchr/testify/require"
)

// appServer sends with a library that shares nothing with the simulator.
type appServer struct {
	r      *rig
	key    crypto.Signer
	public string
	line   *line
	edit   func(*http.Request)
}

func (r *rig) appServer() *appServer {
	r.t.Helper()
	set := r.make(r.makeVAPIDKey, CredentialOptions{})
	c := set.Credentials
	return &appServer{r, privateKey(r.t, set.Files[c.VAPIDKeyFile]), c.VAPIDPublicKey, r.dial(r.WebPushURL()), nil}
}

// Do sends what the library has made, after the test's edit.
func (s *appServer) Do(req *http.Request) (*http.Response, error) {
	if s.edit != nil {
		s.edit(req)
	}
	return s.line.RoundTrip(req)
}

func (s *appServer) push(sub Subscription, text string, edit func(*http.Request)) answer {
	s.r.t.Helper()
	s.edit = edit
	private, err := s.key.(*ecdsa.PrivateKey).Bytes()
	require.NoError(s.r.t, err)
	resp, err := sender.SendNotificationWithContext(s.r.t.Context(), []byte(text),
		&sender.Subscription{Endpoint: sub.Endpoint, Keys: sender.Keys{Auth: sub.Auth, P256dh: sub.P256DH}},
		&sender.Options{HTTPClient: s, Subscriber: "ops@example.com", TTL: 900, Urgency: sender.UrgencyHigh, Topic: "room_1-A",
			VAPIDPublicKey: s.public, VAPIDPrivateKey: base64.RawURLEncoding.EncodeToString(private)})
	require.NoError(s.r.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.r.t, err)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// vapid makes an authorization header with one claim changed.
func (s *appServer) vapid(name string, value any) string {
	claims := map[string]any{"aud": s.r.WebPushURL(), "exp": s.r.now().Add(time.Hour).Unix(), "sub": "mailto:ops@example.com"}
	if claims[name] = value; value == nil {
		delete(claims, name)
	}
	return "vapid t=" + jwt(s.r.t, s.key, map[string]any{"typ": "JWT", "alg": "ES256"}, claims) + ", k=" + s.public
}

func (r *rig) subscribe(o SubscribeOptions) Subscription {
	r.t.Helper()
	sub, err := r.Subscribe(o)
	require.NoError(r.t, err)
	return sub
}

func TestWebPush_DeliversWhatTheBrowserWouldRead(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	app := r.appServer()
	sub := r.subscribe(SubscribeOptions{VAPIDPublicKey: app.public})
	a := app.push(sub, "grüße", nil)
	require.Equal(t, 201, a.status, a.body)
	require.Equal(t, "900", a.header.Get("ttl"))
	got := r.last()
	require.Equal(t, r.WebPushURL()+"/message/"+got.ID, a.header.Get("location"))
	require.Equal(t, "aes128gcm", got.Header["content-encoding"])
	got.Time, got.Header, got.ID = time.Time{}, nil, ""
	require.Equal(t, Receipt{
		Seq: 1, Service: WebPush, Conn: 1, Stream: 1, Token: sub.ID, Topic: "room_1-A", Priority: "high", Expiration: "900",
		KeyID: app.public, Payload: []byte("grüße"), Size: 4096, Status: 201, Delivered: true,
	}, got)

	require.Equal(t, 201, app.push(sub, "", func(q *http.Request) {
		q.Body, q.ContentLength = nil, 0
		q.Header.Del("Content-Encoding")
	}).status, "a push without a body")
	require.Equal(t, 201, app.push(r.subscribe(SubscribeOptions{}), "anyone", nil).status)
	require.Equal(t, 201, app.push(sub, "x", func(q *http.Request) { q.Header.Set("Authorization", app.vapid("sub", "https://example.com/contact")) }).status)
	require.Equal(t, 201, app.push(sub, "x", func(q *http.Request) { q.Header.Set("TTL", "0") }).status)
	require.Equal(t, "2592000", app.push(sub, "x", func(q *http.Request) { q.Header.Set("TTL", "9999999999") }).header.Get("ttl"))
}

// Keys of RFC 8291 appendix A, as if another program had made them.
func TestWebPush_SubscribesWithForeignKeys(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	sub := r.subscribe(SubscribeOptions{PrivateKey: "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94", Auth: "BTBZMqHH6r4Tts7J_aSIgg"})
	require.Equal(t, "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", sub.P256DH)
	require.Equal(t, 201, r.appServer().push(sub, "hello", nil).status)
	require.Equal(t, "hello", string(r.last().Payload))

	for name, o := range map[string]SubscribeOptions{
		"no base64url": {PrivateKey: "+", Auth: "BTBZMqHH6r4Tts7J_aSIgg"}, "auth too short": {PrivateKey: "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94", Auth: "BTBZ"},
		"auth no base64url": {PrivateKey: "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94", Auth: "+"}, "no VAPID key": {VAPIDPublicKey: "BCVx"},
	} {
		_, err := r.Subscribe(o)
		require.Error(t, err, name)
	}
}

func TestWebPush_Refuses(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	app, other := r.appServer(), r.appServer()
	sub := r.subscribe(SubscribeOptions{VAPIDPublicKey: app.public})
	field := func(name, value string) func(*http.Request) {
		return func(q *http.Request) {
			if q.Header.Set(name, value); value == "" {
				q.Header.Del(name)
			}
		}
	}
	auth := func(value string) func(*http.Request) { return field("Authorization", value) }
	body := func(text string) func(*http.Request) {
		return func(q *http.Request) {
			q.Body, q.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		}
	}
	good := app.vapid("", nil)
	token := strings.TrimPrefix(strings.Split(good, ",")[0], "vapid t=")
	for name, c := range map[string]struct {
		status int
		edit   func(*http.Request)
	}{
		"unknown subscription":   {404, func(q *http.Request) { q.URL.Path = "/push/x" }},
		"other path":             {404, func(q *http.Request) { q.URL.Path = "/wpush/v2/x" }},
		"GET":                    {405, func(q *http.Request) { q.Method = "GET"; q.Body = nil }},
		"no authorization":       {401, auth("")},
		"old scheme":             {401, auth("WebPush " + token)},
		"two authorizations":     {401, func(q *http.Request) { q.Header.Add("Authorization", good) }},
		"no token":               {403, auth("vapid k=" + app.public)},
		"no key":                 {403, auth("vapid t=" + token)},
		"key with padding":       {403, auth("vapid t=" + token + ", k=" + app.public + "=")},
		"key no point":           {403, auth("vapid t=" + token + ", k=" + app.public[:20])},
		"other key":              {403, auth("vapid t=" + token + ", k=" + other.public)},
		"other server":           {403, auth(other.vapid("", nil))},
		"garbage for a token":    {403, auth("vapid t=x, k=" + app.public)},
		"no aud":                 {403, auth(app.vapid("aud", nil))},
		"aud with a path":        {403, auth(app.vapid("aud", sub.Endpoint))},
		"aud of another service": {403, auth(app.vapid("aud", "https://updates.push.services.mozilla.com"))},
		"aud a list":             {403, auth(app.vapid("aud", []string{r.WebPushURL()}))},
		"no exp":                 {403, auth(app.vapid("exp", nil))},
		"expired":                {403, auth(app.vapid("exp", r.now().Unix()-1))},
		"exp over 24 hours":      {403, auth(app.vapid("exp", r.now().Unix()+86400+60))},
		"no sub":                 {403, auth(app.vapid("sub", nil))},
		"sub an address only":    {403, auth(app.vapid("sub", "ops@example.com"))},
		"sub without an address": {403, auth(app.vapid("sub", "mailto:"))},
		"sub http":               {403, auth(app.vapid("sub", "http://example.com"))},
		"no TTL":                 {400, field("TTL", "")},
		"TTL negative":           {400, field("TTL", "-1")},
		"TTL in words":           {400, field("TTL", "1h")},
		"two TTLs":               {400, func(q *http.Request) { q.Header.Add("TTL", "1") }},
		"unknown urgency":        {400, field("Urgency", "HIGH")},
		"topic too long":         {400, field("Topic", strings.Repeat("a", 33))},
		"topic with padding":     {400, field("Topic", "YWJj==")},
		"topic with a slash":     {400, field("Topic", "a/b")},
		"old encoding":           {400, field("Content-Encoding", "aesgcm")},
		"no encoding":            {400, field("Content-Encoding", "")},
		"4097 bytes":             {413, body(strings.Repeat("x", 4097))},
		"a megabyte":             {413, body(strings.Repeat("x", 1<<20))},
		"not encrypted":          {400, body(`{"room_id":"!a:b"}` + strings.Repeat(" ", 100))},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := r.ledger.counts()
			a := app.push(sub, "x", c.edit)
			require.Equal(t, c.status, a.status, a.body)
			got := r.last()
			require.Equal(t, before+1, got.Seq)
			require.NotEmpty(t, got.Problem)
			require.False(t, got.Delivered)
			require.Contains(t, a.body, "errno")
		})
	}
	elsewhere := r.subscribe(SubscribeOptions{VAPIDPublicKey: app.public})
	a := app.push(elsewhere, "x", func(q *http.Request) { q.URL.Path = "/push/" + sub.ID })
	require.Equal(t, 400, a.status, "encrypted for another subscription")
	require.Contains(t, r.last().Problem, "does not decrypt")
	require.NoError(t, r.Revoke(app.public))
	require.Equal(t, 403, app.push(sub, "x", nil).status)
}

func TestWebPush_ScriptedAnswers(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	app := r.appServer()
	sub, other := r.subscribe(SubscribeOptions{}), r.subscribe(SubscribeOptions{})
	r.Script(WebPush, sub.Endpoint, Answer{Status: 410, Reason: "expired"}, Answer{Status: 404}, Answer{Status: 413}, Answer{Status: 429, RetryAfter: "60"}, Answer{Status: 500}, Answer{Status: 202})
	for _, status := range []int{410, 404, 413, 429, 500, 202, 201} {
		a := app.push(sub, "x", nil)
		require.Equal(t, status, a.status)
		require.Equal(t, status == 429, a.header.Get("retry-after") == "60")
		require.Equal(t, status/100 == 2, r.last().Delivered)
		require.Equal(t, 201, app.push(other, "x", nil).status)
	}
	r.Script(WebPush, sub.ID, Answer{Status: 410})
	require.Equal(t, 410, app.push(sub, "x", nil).status)
}

func TestWebPush_TokenIsRememberedWithItsKey(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	app, other := r.appServer(), r.appServer()
	sub := r.subscribe(SubscribeOptions{})
	header := app.vapid("", nil)
	use := func(value string) func(*http.Request) {
		return func(q *http.Request) { q.Header.Set("Authorization", value) }
	}
	require.Equal(t, 201, app.push(sub, "x", use(header)).status)
	require.Equal(t, 201, app.push(sub, "x", use(header)).status)
	require.Equal(t, 403, app.push(sub, "x", use(strings.Replace(header, app.public, other.public, 1))).status)
	r.advance(2 * time.Hour)
	require.Equal(t, 403, app.push(sub, "x", use(header)).status, "it expires all the same")
}
