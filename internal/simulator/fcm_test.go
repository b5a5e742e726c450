package simulator

import (
	"crypto"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// account is a service account that can ask for access tokens.
type account struct {
	r     *rig
	key   crypto.Signer
	keyID string
	email string
	line  *line
}

func (r *rig) account(o CredentialOptions) *account {
	r.t.Helper()
	set := r.make(r.makeServiceAccount, o)
	var file struct {
		PrivateKey   string `json:"private_key"`
		PrivateKeyID string `json:"private_key_id"`
		ClientEmail  string `json:"client_email"`
		TokenURI     string `json:"token_uri"`
	}
	require.NoError(r.t, json.Unmarshal(set.Files[set.Credentials.ServiceAccountFile], &file))
	require.Equal(r.t, r.TokenURL(), file.TokenURI)
	key := privateKey(r.t, []byte(file.PrivateKey))
	return &account{r, key, file.PrivateKeyID, file.ClientEmail, r.dial(strings.TrimSuffix(r.TokenURL(), oauthPath))}
}

func (a *account) header() map[string]any {
	return map[string]any{"alg": "RS256", "kid": a.keyID, "typ": "JWT"}
}

func (a *account) claims() map[string]any {
	now := a.r.now().Unix()
	return map[string]any{"iss": a.email, "aud": a.r.TokenURL(), "scope": scopeMessaging, "iat": now, "exp": now + 3600}
}

func (a *account) grant(form url.Values) answer {
	a.r.t.Helper()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	return a.line.do(a.r.request("POST", a.r.TokenURL(), form.Encode(), header))
}

func (a *account) ask(assertion string) answer {
	a.r.t.Helper()
	return a.grant(url.Values{"grant_type": {jwtBearer}, "assertion": {assertion}})
}

// token gets an access token.
func (a *account) token() string {
	a.r.t.Helper()
	got := a.ask(jwt(a.r.t, a.key, a.header(), a.claims()))
	require.Equal(a.r.t, 200, got.status, got.body)
	var v struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}
	require.NoError(a.r.t, json.Unmarshal([]byte(got.body), &v))
	require.Equal(a.r.t, "Bearer", v.TokenType)
	require.Positive(a.r.t, v.ExpiresIn)
	return v.AccessToken
}

const (
	fcmToken    = "cRz_Kd-0:APA91bHun4MxP5egoKMwt2KZFBaFUH"
	fcmMessage1 = `{"message":{"token":"` + fcmToken + `","android":{"priority":"high"},"data":{"ciphertext":"abc","é":"ü"}}}`
)

func (l *line) message(bearer, body string) answer {
	l.r.t.Helper()
	return l.do(l.r.request("POST", l.r.FCMURL()+"/v1/projects/pushgate-sim/messages:send", body,
		http.Header{"Authorization": {"Bearer " + bearer}, "Content-Type": {"application/json"}}))
}

// fcmFault is an error body, read.
type fcmFault struct {
	Error struct {
		Code            int
		Message, Status string
		Details         []struct {
			Type            string `json:"@type"`
			ErrorCode       string
			Reason          string
			FieldViolations []struct{ Field, Description string }
			Violations      []struct{ Subject, Description string }
		}
	}
}

func (a answer) fcm(t *testing.T) fcmFault {
	t.Helper()
	var f fcmFault
	require.NoError(t, json.Unmarshal([]byte(a.body), &f), a.body)
	require.Equal(t, a.status, f.Error.Code)
	return f
}

func (f fcmFault) field() string {
	for _, d := range f.Error.Details {
		for _, v := range d.FieldViolations {
			return v.Field
		}
	}
	return ""
}

func (f fcmFault) code() string {
	for _, d := range f.Error.Details {
		if d.Type == "type.googleapis.com/google.firebase.fcm.v1.FcmError" {
			return d.ErrorCode
		}
	}
	return ""
}

func TestFCM_Delivers(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	bearer := r.account(CredentialOptions{}).token()
	l := r.dial(r.FCMURL())
	names := map[string]bool{}
	for name, body := range map[string]string{
		"data only":         fcmMessage1,
		"nothing but token": `{"message":{"token":"t"}}`,
		"camel case":        `{"message":{"token":"t","android":{"collapseKey":"c","ttl":"3.5s","restrictedPackageName":"p","directBootOk":true},"fcmOptions":{"analyticsLabel":"l"}}}`,
		"snake case":        `{"message":{"token":"t","android":{"collapse_key":"c","ttl":"0s","restricted_package_name":"p","direct_boot_ok":true},"fcm_options":{"analytics_label":"l"}}}`,
		"nulls":             `{"validate_only":null,"message":{"token":"t","data":null,"android":null}}`,
		"for all platforms": `{"message":{"token":"t","notification":{"title":"a","body":"b","image":"i"},"webpush":{"headers":{"TTL":"1"},"data":{"a":"b"},"notification":{"any":[1]},"fcm_options":{"link":"https://x"}},"apns":{"headers":{"apns-priority":"5"},"payload":{"aps":{"badge":1}},"fcm_options":{"image":"i"}}}}`,
		"android texts":     `{"message":{"token":"t","android":{"priority":"NORMAL","ttl":"2419200s","notification":{"title_loc_args":["a"],"notification_count":3,"sticky":true,"event_time":"2026-11-20T10:00:00.5Z","vibrate_timings":["1s","0.5s"],"visibility":"PUBLIC","light_settings":{"color":{"red":0.5},"light_on_duration":"1s"}}}}}`,
		"4096 bytes":        `{"message":{"token":"t","data":{"a":"` + strings.Repeat("x", 4095) + `"}}}`,
	} {
		a := l.message(bearer, body)
		require.Equal(t, 200, a.status, "%s: %s", name, a.body)
		got := r.last()
		require.True(t, got.Delivered)
		require.Equal(t, body, string(got.Payload))
		require.JSONEq(t, fmt.Sprintf(`{"name":%q}`, got.ID), a.body)
		require.True(t, strings.HasPrefix(got.ID, "projects/pushgate-sim/messages/"))
		require.False(t, names[got.ID], "a name twice")
		names[got.ID] = true
	}
}

func TestFCM_Receipt(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	acc := r.account(CredentialOptions{})
	l := r.dial(r.FCMURL())
	body := `{"message":{"token":"` + fcmToken + `","android":{"priority":"high","ttl":"60s","collapse_key":"c"},"data":{"a":"b"}}}`
	require.Equal(t, 200, l.message(acc.token(), body).status)
	got := r.last()
	require.Equal(t, "application/json", got.Header["content-type"])
	require.NotEmpty(t, got.ID)
	got.Time, got.Header, got.ID, got.Conn = time.Time{}, nil, "", 0
	require.Equal(t, Receipt{
		Seq: 1, Service: FCM, Stream: 1, Token: fcmToken, Topic: "pushgate-sim", CollapseID: "c", PushType: "data", Priority: "high",
		Expiration: "60s", KeyID: acc.email, Payload: []byte(body), Size: len(body), Status: 200, Delivered: true,
	}, got)

	require.Equal(t, 200, l.message(acc.token(), `{"message":{"token":"t","data":{"a":"b"},"notification":{"title":"x"}}}`).status)
	require.Equal(t, "notification", r.last().PushType)
}

func TestFCM_ValidateOnlyIsNotDelivered(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	a := r.dial(r.FCMURL()).message(r.account(CredentialOptions{}).token(), `{"validate_only":true,"message":{"token":"t"}}`)
	require.JSONEq(t, `{"name":"projects/pushgate-sim/messages/fake_message_id"}`, a.body)
	require.Equal(t, 200, r.last().Status)
	require.False(t, r.last().Delivered)
}

func TestFCM_RefusesMessages(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	bearer := r.account(CredentialOptions{}).token()
	l := r.dial(r.FCMURL())
	in := func(android string) string { return `{"message":{"token":"t","android":` + android + `}}` }
	for name, c := range map[string]struct{ field, body string }{
		"unknown at the top":       {"", `{"message":{"token":"t"},"dry_run":true}`},
		"unknown in message":       {"message", `{"message":{"token":"t","to":"x"}}`},
		"unknown in android":       {"message.android", in(`{"priorities":"high"}`)},
		"unknown far below":        {"message.android.notification.light_settings.color", in(`{"notification":{"lightSettings":{"color":{"pink":1}}}}`)},
		"wrong capitals":           {"message", `{"message":{"Token":"t"}}`},
		"both spellings":           {"message.android.collapse_key", in(`{"collapse_key":"a","collapseKey":"a"}`)},
		"message a list":           {"message", `{"message":[]}`},
		"token a number":           {"message.token", `{"message":{"token":1}}`},
		"data a text":              {"message.data", `{"message":{"token":"t","data":"x"}}`},
		"data with a number":       {"message.data.a", `{"message":{"token":"t","data":{"a":1}}}`},
		"data with an object":      {"message.data.a", `{"message":{"token":"t","data":{"a":{}}}}`},
		"data with null":           {"message.data.a", `{"message":{"token":"t","data":{"a":null}}}`},
		"android data, a boolean":  {"message.android.data.a", in(`{"data":{"a":true}}`)},
		"reserved: from":           {"message.data.from", `{"message":{"token":"t","data":{"from":"x"}}}`},
		"reserved: message_type":   {"message.data.message_type", `{"message":{"token":"t","data":{"message_type":"x"}}}`},
		"reserved: google.":        {"message.data.google.x", `{"message":{"token":"t","data":{"google.x":"x"}}}`},
		"reserved: gcm.":           {"message.data.gcm.x", `{"message":{"token":"t","data":{"gcm.x":"x"}}}`},
		"unknown priority":         {"message.android.priority", in(`{"priority":"urgent"}`)},
		"priority a number":        {"message.android.priority", in(`{"priority":10}`)},
		"ttl a number":             {"message.android.ttl", in(`{"ttl":3600}`)},
		"ttl without unit":         {"message.android.ttl", in(`{"ttl":"3600"}`)},
		"ttl in hours":             {"message.android.ttl", in(`{"ttl":"1h"}`)},
		"ttl negative":             {"message.android.ttl", in(`{"ttl":"-1s"}`)},
		"ttl over four weeks":      {"message.android.ttl", in(`{"ttl":"2419201s"}`)},
		"boolean in words":         {"message.android.direct_boot_ok", in(`{"direct_boot_ok":"true"}`)},
		"count with decimals":      {"message.android.notification.notification_count", in(`{"notification":{"notification_count":1.5}}`)},
		"count in words":           {"message.android.notification.notification_count", in(`{"notification":{"notification_count":"1"}}`)},
		"args no list":             {"message.android.notification.title_loc_args", in(`{"notification":{"title_loc_args":"a"}}`)},
		"args with a number":       {"message.android.notification.title_loc_args[]", in(`{"notification":{"title_loc_args":[1]}}`)},
		"time no time":             {"message.android.notification.event_time", in(`{"notification":{"event_time":"now"}}`)},
		"APNs payload a text":      {"message.apns.payload", `{"message":{"token":"t","apns":{"payload":"x"}}}`},
		"no target":                {"message", `{"message":{"data":{"a":"b"}}}`},
		"no message":               {"message", `{}`},
		"empty token":              {"message", `{"message":{"token":""}}`},
		"token and topic":          {"message", `{"message":{"token":"t","topic":"x"}}`},
		"topic instead of a token": {"message", `{"message":{"topic":"x"}}`},
		"token with a space":       {"message.token", `{"message":{"token":"a b"}}`},
		"token with a slash":       {"message.token", `{"message":{"token":"a/b"}}`},
		"token too long":           {"message.token", `{"message":{"token":"` + strings.Repeat("t", 4097) + `"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := l.message(bearer, c.body)
			require.Equal(t, 400, a.status, a.body)
			f := a.fcm(t)
			require.Equal(t, "INVALID_ARGUMENT", f.Error.Status)
			require.Equal(t, "INVALID_ARGUMENT", f.code())
			require.Equal(t, c.field, f.field())
			require.NotEmpty(t, r.last().Problem)
			require.False(t, r.last().Delivered)
		})
	}
	for name, body := range map[string]string{ // a plain 400, without details
		"4097 bytes":         `{"message":{"token":"t","data":{"a":"` + strings.Repeat("x", 4096) + `"}}}`,
		"4097 in two places": `{"message":{"token":"t","data":{"a":"` + strings.Repeat("x", 4000) + `"},"notification":{"title":"` + strings.Repeat("x", 96) + `"}}}`,
		"4097 in UTF-8":      `{"message":{"token":"t","data":{"a":"` + strings.Repeat("é", 2048) + `"}}}`,
		"a megabyte":         `{"message":{"token":"t","data":{"a":"` + strings.Repeat("x", 1<<20) + `"}}}`,
		"no JSON":            `{"message":`,
		"two values":         fcmMessage1 + "{}",
		"a member twice":     `{"message":{"token":"t","token":"t"}}`,
		"nothing":            ``,
	} {
		a := l.message(bearer, body)
		f := a.fcm(t)
		require.Equal(t, "INVALID_ARGUMENT", f.Error.Status, name)
		if name != "nothing" {
			require.Empty(t, f.Error.Details, name)
		}
		require.False(t, r.last().Delivered, name)
	}
}

func TestFCM_RefusesSenders(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Rules: Rules{AccessTokenLifetime: 10 * time.Minute}})
	acc := r.account(CredentialOptions{})
	bearer := acc.token()
	stranger := r.account(CredentialOptions{ProjectID: "other-project"}).token()
	l := r.dial(r.FCMURL())
	send := func(edit func(*http.Request)) answer {
		req := r.request("POST", r.FCMURL()+"/v1/projects/pushgate-sim/messages:send", fcmMessage1,
			http.Header{"Authorization": {"Bearer " + bearer}, "Content-Type": {"application/json; charset=UTF-8"}})
		edit(req)
		return l.do(req)
	}
	require.Equal(t, 200, send(func(*http.Request) {}).status)
	for name, c := range map[string]struct {
		status int
		rpc    string
		edit   func(*http.Request)
	}{
		"other path":      {404, "NOT_FOUND", func(q *http.Request) { q.URL.Path = "/v1/projects/pushgate-sim/messages" }},
		"old API":         {404, "NOT_FOUND", func(q *http.Request) { q.URL.Path = "/fcm/send" }},
		"no project":      {404, "NOT_FOUND", func(q *http.Request) { q.URL.Path = "/v1/projects//messages:send" }},
		"GET":             {404, "NOT_FOUND", func(q *http.Request) { q.Method = "GET" }},
		"no token":        {401, "UNAUTHENTICATED", func(q *http.Request) { q.Header.Del("Authorization") }},
		"basic":           {401, "UNAUTHENTICATED", func(q *http.Request) { q.Header.Set("Authorization", "Basic "+bearer) }},
		"unknown token":   {401, "UNAUTHENTICATED", func(q *http.Request) { q.Header.Set("Authorization", "Bearer ya29.x") }},
		"two tokens":      {401, "UNAUTHENTICATED", func(q *http.Request) { q.Header.Add("Authorization", "Bearer "+bearer) }},
		"other project":   {403, "PERMISSION_DENIED", func(q *http.Request) { q.Header.Set("Authorization", "Bearer "+stranger) }},
		"no content type": {400, "INVALID_ARGUMENT", func(q *http.Request) { q.Header.Del("Content-Type") }},
		"a form":          {400, "INVALID_ARGUMENT", func(q *http.Request) { q.Header.Set("Content-Type", "application/x-www-form-urlencoded") }},
	} {
		a := send(c.edit)
		require.Equal(t, c.status, a.status, name)
		f := a.fcm(t)
		require.Equal(t, c.rpc, f.Error.Status, name)
		if c.status != 400 {
			require.Empty(t, f.code(), "%s: not FCM's word", name)
		}
		require.NotEmpty(t, r.last().Problem, name)
		require.NotContains(t, r.last().Problem, bearer)
	}
	r.advance(10*time.Minute + time.Second)
	a := send(func(*http.Request) {})
	require.Equal(t, "ACCESS_TOKEN_EXPIRED", a.fcm(t).Error.Details[0].Reason)
	bearer = acc.token()
	require.Equal(t, 200, send(func(*http.Request) {}).status)
	r.RevokeAccessTokens()
	require.Equal(t, 401, send(func(*http.Request) {}).status)
	bearer = acc.token()
	require.Equal(t, 200, send(func(*http.Request) {}).status)
	require.NoError(t, r.Revoke(acc.keyID))
	require.Equal(t, 401, send(func(*http.Request) {}).status, "tokens die with their account")
	require.Equal(t, 400, acc.ask(jwt(t, acc.key, acc.header(), acc.claims())).status)
}

func TestFCM_ScriptedAnswers(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	bearer := r.account(CredentialOptions{}).token()
	l := r.dial(r.FCMURL())
	for reason, c := range map[string]struct {
		status    int
		rpc, code string
	}{
		"UNREGISTERED":           {404, "NOT_FOUND", "UNREGISTERED"},
		"INVALID_ARGUMENT":       {400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"},
		"SENDER_ID_MISMATCH":     {403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"},
		"QUOTA_EXCEEDED":         {429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"},
		"UNAVAILABLE":            {503, "UNAVAILABLE", "UNAVAILABLE"},
		"INTERNAL":               {500, "INTERNAL", "INTERNAL"},
		"THIRD_PARTY_AUTH_ERROR": {401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"},
		"UNSPECIFIED_ERROR":      {500, "UNKNOWN", "UNSPECIFIED_ERROR"},
		"UNAUTHENTICATED":        {401, "UNAUTHENTICATED", ""},
		"PERMISSION_DENIED":      {403, "PERMISSION_DENIED", ""},
		"NOT_FOUND":              {404, "NOT_FOUND", ""},
		"RESOURCE_EXHAUSTED":     {429, "RESOURCE_EXHAUSTED", ""},
		"NEVER_HEARD_OF":         {400, "NEVER_HEARD_OF", "NEVER_HEARD_OF"},
	} {
		r.Script(FCM, fcmToken, Answer{Reason: reason, RetryAfter: "7"})
		a := l.message(bearer, fcmMessage1)
		require.Equal(t, c.status, a.status, reason)
		f := a.fcm(t)
		require.Equal(t, c.rpc, f.Error.Status)
		require.Equal(t, c.code, f.code())
		require.Equal(t, "7", a.header.Get("retry-after"))
		require.Equal(t, reason, r.last().Reason)
	}
	r.Script(FCM, fcmToken, Answer{Reason: "INVALID_ARGUMENT", Detail: "message.token"}, Answer{Reason: "QUOTA_EXCEEDED", Detail: "project:1"}, HTMLError(502),
		Answer{Status: 404}, Answer{Status: 200, Body: new("not JSON")})
	f := l.message(bearer, fcmMessage1).fcm(t)
	require.Equal(t, "message.token", f.field())
	require.Equal(t, badRegistrationToken, f.Error.Message)
	f = l.message(bearer, fcmMessage1).fcm(t)
	require.Equal(t, "project:1", f.Error.Details[1].Violations[0].Subject)
	a := l.message(bearer, fcmMessage1)
	require.Equal(t, 502, a.status)
	require.Contains(t, a.body, "<html")
	a = l.message(bearer, fcmMessage1)
	require.Equal(t, 404, a.status)
	require.Empty(t, a.body)
	require.Equal(t, "not JSON", l.message(bearer, fcmMessage1).body)
	require.True(t, r.last().Delivered)
}

func TestOAuth_Refuses(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	acc, other := r.account(CredentialOptions{}), r.account(CredentialOptions{})
	with := func(name string, value any) string {
		claims := acc.claims()
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
		return jwt(t, acc.key, acc.header(), claims)
	}
	now := r.now().Unix()
	for name, c := range map[string]struct{ reason, assertion string }{
		"no JWT":              {"invalid_grant", "x"},
		"other key":           {"invalid_grant", jwt(t, other.key, acc.header(), acc.claims())},
		"other kid":           {"invalid_grant", jwt(t, acc.key, other.header(), acc.claims())},
		"no kid":              {"invalid_grant", jwt(t, acc.key, map[string]any{"alg": "RS256"}, acc.claims())},
		"alg none":            {"invalid_grant", jwt(t, acc.key, map[string]any{"alg": "none", "kid": acc.keyID}, acc.claims())},
		"unknown account":     {"invalid_grant", with("iss", "nobody@example.com")},
		"other audience":      {"invalid_grant", with("aud", "https://oauth2.googleapis.com/token")},
		"no iat":              {"invalid_grant", with("iat", nil)},
		"no exp":              {"invalid_grant", with("exp", nil)},
		"iat ahead":           {"invalid_grant", with("iat", now+600)},
		"expired":             {"invalid_grant", with("exp", now-1)},
		"lives over an hour":  {"invalid_grant", with("exp", now+3700)},
		"no scope":            {"invalid_scope", with("scope", nil)},
		"scope of other work": {"invalid_scope", with("scope", "https://www.googleapis.com/auth/devstorage.read_only")},
	} {
		a := acc.ask(c.assertion)
		require.Equal(t, 400, a.status, name)
		require.Contains(t, a.body, `"error":"`+c.reason+`"`, name)
	}
	require.Equal(t, 200, acc.ask(with("scope", "a "+scopePlatform)).status)
	require.Equal(t, 200, acc.ask(with("iat", now+60)).status, "clocks differ a little")

	good := jwt(t, acc.key, acc.header(), acc.claims())
	require.Contains(t, acc.grant(url.Values{"assertion": {good}, "grant_type": {"password"}}).body, "unsupported_grant_type")
	require.Contains(t, acc.grant(url.Values{"assertion": {good}}).body, "unsupported_grant_type")
	require.Equal(t, 404, acc.line.do(r.request("GET", r.TokenURL(), "", nil)).status)
	require.Equal(t, 404, acc.line.do(r.request("POST", r.TokenURL()+"s", "", nil)).status)
	json := http.Header{"Content-Type": {"application/json"}}
	require.Contains(t, acc.line.do(r.request("POST", r.TokenURL(), `{}`, json)).body, "invalid_request")
	require.Empty(t, r.Receipts(), "token requests are no notifications")
	require.EqualValues(t, 2, r.Stats().Services[OAuth].Answers["200"])
}

func TestOAuth_ScriptedAnswers(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	acc := r.account(CredentialOptions{})
	good := jwt(t, acc.key, acc.header(), acc.claims())
	r.Script(OAuth, acc.email, Answer{Reason: "invalid_grant"}, HTMLError(500), Answer{Status: 503, RetryAfter: "3"})
	require.Equal(t, 400, acc.ask(good).status)
	require.Equal(t, 500, acc.ask(good).status)
	require.Equal(t, "3", acc.ask(good).header.Get("retry-after"))
	require.Equal(t, 200, acc.ask(good).status)
}

func FuzzFCMMessage(f *testing.F) {
	f.Add([]byte(fcmMessage1))
	f.Add([]byte(`{"message":{"token":"t","android":{"ttl":"3s","notification":{"light_settings":{"color":{"red":1}}}}}}`))
	schema := fcmSchema()
	f.Fuzz(func(t *testing.T, body []byte) {
		m := newMessage(body)
		if m.read(schema) == nil && m.rules() == nil {
			var v struct {
				Message struct {
					Token string            `json:"token"`
					Data  map[string]string `json:"data"`
				} `json:"message"`
			}
			require.NoError(t, json.Unmarshal(body, &v))
			require.Equal(t, v.Message.Token, m.token)
		}
	})
}
