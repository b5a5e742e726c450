package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAPNs_Delivers(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	p := r.provider(CredentialOptions{})
	bearer := p.token(0)
	l := r.dial(r.APNsURL())
	for name, edit := range map[string]func(*push){
		"as it is":            func(*push) {},
		"no apns-id":          func(p *push) { p.set("Apns-Id", "") },
		"no priority":         func(p *push) { p.set("Apns-Priority", "") },
		"priority 1":          func(p *push) { p.set("Apns-Priority", "1") },
		"expiration":          func(p *push) { p.set("Apns-Expiration", "1900000000") },
		"expiration 0":        func(p *push) { p.set("Apns-Expiration", "0") },
		"collapse id":         func(p *push) { p.set("Apns-Collapse-Id", strings.Repeat("c", 64)) },
		"Bearer in capitals":  func(p *push) { p.set("Authorization", "Bearer "+bearer) },
		"shortest token":      func(p *push) { p.path = "/3/device/0123abcd" },
		"longest token":       func(p *push) { p.path = "/3/device/" + strings.Repeat("0a", 100) },
		"4096 bytes":          func(p *push) { p.payload = filled(4096) },
		"alert as text":       func(p *push) { p.payload = `{"aps":{"alert":"x","sound":{"critical":1,"name":"n"}}}` },
		"an aps with nothing": func(p *push) { p.payload = `{"aps":{}}` },
		"background": func(p *push) {
			p.set("Apns-Push-Type", "background")
			p.set("Apns-Priority", "5")
			p.payload = `{"aps":{"content-available":1}}`
		},
		"voip of 5120 bytes": func(p *push) {
			p.set("Apns-Push-Type", "voip")
			p.set("Apns-Topic", testTopic+".voip")
			p.payload = filled(5120)
		},
		"mdm":      func(p *push) { p.set("Apns-Push-Type", "mdm"); p.payload = `{"mdm":"magic"}` },
		"location": func(p *push) { p.set("Apns-Push-Type", "location"); p.set("Apns-Topic", testTopic+".location-query") },
		"live activity": func(p *push) {
			p.set("Apns-Push-Type", "liveactivity")
			p.set("Apns-Topic", testTopic+".push-type.liveactivity")
		},
		"interruption, scores": func(p *push) {
			p.payload = `{"aps":{"alert":"x","interruption-level":"passive","relevance-score":0.5,"thread-id":"t","category":"c"}}`
		},
	} {
		n := newPush(bearer)
		edit(n)
		a := l.push(n)
		require.Equal(t, 200, a.status, "%s: %s", name, a.body)
		require.Empty(t, a.body, name)
		got := r.last()
		require.True(t, got.Delivered, name)
		require.Empty(t, got.Problem, name)
		require.Equal(t, n.payload, string(got.Payload), name)
		require.Equal(t, []string{got.ID}, a.header["Apns-Id"], name)
		require.True(t, lowerUUID(got.ID), name)
	}
}

func TestAPNs_Receipt(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	p := r.provider(CredentialOptions{})
	n := newPush(p.token(0))
	n.set("Apns-Expiration", "1900000000")
	n.set("Apns-Collapse-Id", "c")
	n.set("X-Other", "o")
	require.Equal(t, 200, r.dial(r.APNsURL()).push(n).status)
	got := r.last()
	require.WithinDuration(t, time.Now(), got.Time, time.Minute)
	got.Time = time.Time{}
	require.Equal(t, "o", got.Header["x-other"])
	require.NotContains(t, got.Header, "authorization")
	got.Header = nil
	require.Equal(t, Receipt{
		Seq: 1, Service: APNs, Conn: 1, Stream: 1, Token: testToken, Topic: testTopic, ID: testID, CollapseID: "c", PushType: "alert",
		Priority: "10", Expiration: "1900000000", KeyID: p.keyID, Payload: []byte(testPayload), Size: len(testPayload), Status: 200, Delivered: true,
	}, got)
}

// Each rule by itself: what else is in the request is good.
func TestAPNs_Refuses(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Rules: Rules{APNsTopics: []string{testTopic}}})
	p := r.provider(CredentialOptions{})
	other := r.provider(CredentialOptions{TeamID: "OTHERTEAM1"})
	bearer := p.token(0)
	header := map[string]any{"alg": "ES256", "kid": p.keyID}
	claims := map[string]any{"iss": p.team, "iat": r.now().Unix()}
	auth := func(bearer string) func(*push) {
		return func(p *push) { p.set("Authorization", "bearer "+bearer) }
	}
	payload := func(text string) func(*push) { return func(p *push) { p.payload = text } }
	field := func(name, value string) func(*push) { return func(p *push) { p.set(name, value) } }
	background := func(payload string) func(*push) {
		return func(p *push) {
			p.set("Apns-Push-Type", "background")
			p.set("Apns-Priority", "5")
			p.payload = payload
		}
	}
	for name, c := range map[string]struct {
		status int
		reason string
		edit   func(*push)
	}{
		"other path":               {404, "BadPath", func(p *push) { p.path = "/2/device/" + testToken }},
		"GET":                      {405, "MethodNotAllowed", func(p *push) { p.method = "GET"; p.payload = "" }},
		"no token":                 {400, "MissingDeviceToken", func(p *push) { p.path = "/3/device/" }},
		"token in capitals":        {400, "BadDeviceToken", func(p *push) { p.path = "/3/device/" + strings.ToUpper(testToken) }},
		"token in Base64":          {400, "BadDeviceToken", func(p *push) { p.path = "/3/device/ABEiM0RVZneImaq7zN3u_w==" }},
		"odd token":                {400, "BadDeviceToken", func(p *push) { p.path = "/3/device/" + testToken[1:] }},
		"short token":              {400, "BadDeviceToken", func(p *push) { p.path = "/3/device/001122" }},
		"long token":               {400, "BadDeviceToken", func(p *push) { p.path = "/3/device/" + strings.Repeat("ab", 101) }},
		"token with a query":       {400, "BadDeviceToken", func(p *push) { p.path += "?x=12" }},
		"header twice":             {400, "DuplicateHeaders", func(p *push) { p.header["Apns-Topic"] = []string{testTopic, testTopic} }},
		"authorization twice":      {400, "DuplicateHeaders", func(p *push) { p.header["Authorization"] = []string{"bearer x", "bearer y"} }},
		"no authorization":         {403, "MissingProviderToken", field("Authorization", "")},
		"basic":                    {403, "InvalidProviderToken", field("Authorization", "basic "+bearer)},
		"no JWT":                   {403, "InvalidProviderToken", auth("x")},
		"empty bearer":             {403, "InvalidProviderToken", auth("")},
		"unknown kid":              {403, "InvalidProviderToken", auth(jwt(t, p.key, map[string]any{"alg": "ES256", "kid": "ZZZZZZZZZZ"}, claims))},
		"no kid":                   {403, "InvalidProviderToken", auth(jwt(t, p.key, map[string]any{"alg": "ES256"}, claims))},
		"other alg":                {403, "InvalidProviderToken", auth(jwt(t, p.key, map[string]any{"alg": "ES384", "kid": p.keyID}, claims))},
		"other key's signature":    {403, "InvalidProviderToken", auth(jwt(t, other.key, header, claims))},
		"other team":               {403, "InvalidProviderToken", auth(jwt(t, p.key, header, map[string]any{"iss": "OTHERTEAM1", "iat": r.now().Unix()}))},
		"no iat":                   {403, "InvalidProviderToken", auth(jwt(t, p.key, header, map[string]any{"iss": p.team}))},
		"iat ahead":                {403, "InvalidProviderToken", auth(p.token(-61 * time.Minute))},
		"iat too old":              {403, "ExpiredProviderToken", auth(p.token(61 * time.Minute))},
		"apns-id in capitals":      {400, "BadMessageId", field("Apns-Id", strings.ToUpper(testID))},
		"apns-id no UUID":          {400, "BadMessageId", field("Apns-Id", "1")},
		"apns-id with other signs": {400, "BadMessageId", field("Apns-Id", strings.ReplaceAll(testID, "-", "_"))},
		"expiration no number":     {400, "BadExpirationDate", field("Apns-Expiration", "tomorrow")},
		"expiration negative":      {400, "BadExpirationDate", field("Apns-Expiration", "-1")},
		"expiration too long":      {400, "BadExpirationDate", field("Apns-Expiration", strings.Repeat("9", 19))},
		"collapse id of 65 bytes":  {400, "BadCollapseId", field("Apns-Collapse-Id", strings.Repeat("c", 65))},
		"priority 7":               {400, "BadPriority", field("Apns-Priority", "7")},
		"priority in words":        {400, "BadPriority", field("Apns-Priority", "high")},
		"no push type":             {400, "InvalidPushType", field("Apns-Push-Type", "")},
		"unknown push type":        {400, "InvalidPushType", field("Apns-Push-Type", "loud")},
		"background at 10": {400, "BadPriority", func(p *push) {
			background(`{"aps":{"content-available":1}}`)(p)
			p.set("Apns-Priority", "10")
		}},
		"background by default at 10": {400, "BadPriority", func(p *push) {
			background(`{"aps":{"content-available":1}}`)(p)
			p.set("Apns-Priority", "")
		}},
		"background, nothing available": {400, "InvalidPushType", background(`{"aps":{}}`)},
		"background, available 0":       {400, "InvalidPushType", background(`{"aps":{"content-available":0}}`)},
		"background that shows":         {400, "InvalidPushType", background(`{"aps":{"content-available":1,"alert":"x"}}`)},
		"no topic":                      {400, "MissingTopic", field("Apns-Topic", "")},
		"topic without a dot":           {400, "BadTopic", field("Apns-Topic", "example")},
		"topic with odd characters":     {400, "BadTopic", field("Apns-Topic", "com.exämple")},
		"topic with two dots":           {400, "BadTopic", field("Apns-Topic", "com..example")},
		"voip topic for an alert":       {400, "BadTopic", field("Apns-Topic", testTopic+".voip")},
		"alert topic for voip":          {400, "BadTopic", field("Apns-Push-Type", "voip")},
		"topic of somebody else":        {400, "TopicDisallowed", field("Apns-Topic", "com.example.other")},
		"no payload":                    {400, "PayloadEmpty", payload("")},
		"4097 bytes":                    {413, "PayloadTooLarge", payload(filled(4097))},
		"a megabyte":                    {413, "PayloadTooLarge", payload(filled(1 << 20))},
		"voip of 5121 bytes": {413, "PayloadTooLarge", func(p *push) {
			p.set("Apns-Push-Type", "voip")
			p.set("Apns-Topic", testTopic+".voip")
			p.payload = filled(5121)
		}},
		"no JSON":                        {400, "PayloadEmpty", payload(`{"aps":`)},
		"no object":                      {400, "PayloadEmpty", payload(`["aps"]`)},
		"two objects":                    {400, "PayloadEmpty", payload(`{"aps":{}}{}`)},
		"a member twice":                 {400, "PayloadEmpty", payload(`{"aps":{},"a":1,"a":2}`)},
		"not UTF-8":                      {400, "PayloadEmpty", payload("{\"aps\":{\"alert\":\"\xff\"}}")},
		"no aps":                         {400, "PayloadEmpty", payload(`{"room_id":"x"}`)},
		"aps no object":                  {400, "PayloadEmpty", payload(`{"aps":"x"}`)},
		"alert a number":                 {400, "PayloadEmpty", payload(`{"aps":{"alert":1}}`)},
		"title a number":                 {400, "PayloadEmpty", payload(`{"aps":{"alert":{"title":1}}}`)},
		"loc-args with a number":         {400, "PayloadEmpty", payload(`{"aps":{"alert":{"loc-key":"k","loc-args":["a",1]}}}`)},
		"loc-args with null":             {400, "PayloadEmpty", payload(`{"aps":{"alert":{"loc-key":"k","loc-args":[null]}}}`)},
		"badge a text":                   {400, "PayloadEmpty", payload(`{"aps":{"badge":"1"}}`)},
		"badge negative":                 {400, "PayloadEmpty", payload(`{"aps":{"badge":-1}}`)},
		"badge with decimals":            {400, "PayloadEmpty", payload(`{"aps":{"badge":1.0}}`)},
		"sound a number":                 {400, "PayloadEmpty", payload(`{"aps":{"sound":1}}`)},
		"mutable-content true":           {400, "PayloadEmpty", payload(`{"aps":{"alert":"x","mutable-content":true}}`)},
		"content-available 2":            {400, "PayloadEmpty", payload(`{"aps":{"content-available":2}}`)},
		"thread-id a number":             {400, "PayloadEmpty", payload(`{"aps":{"thread-id":1}}`)},
		"interruption-level in capitals": {400, "PayloadEmpty", payload(`{"aps":{"interruption-level":"Active"}}`)},
		"mdm without mdm":                {400, "PayloadEmpty", field("Apns-Push-Type", "mdm")},
	} {
		t.Run(name, func(t *testing.T) {
			l := r.dial(r.APNsURL()) // what goes wrong with a token may spoil its connection
			n := newPush(bearer)
			c.edit(n)
			before, _ := r.ledger.counts()
			l.push(n).requireReason(t, c.status, c.reason)
			got := r.last()
			require.Equal(t, before+1, got.Seq)
			require.Equal(t, c.status, got.Status)
			require.Equal(t, c.reason, got.Reason)
			require.NotEmpty(t, got.Problem)
			require.False(t, got.Delivered)
			require.NotContains(t, got.Problem, bearer)
		})
	}
}

func TestAPNs_ScriptedReasons(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	bearer := r.provider(CredentialOptions{}).token(0)
	l := r.dial(r.APNsURL())
	for reason, status := range map[string]int{
		"BadCollapseId": 400, "BadDeviceToken": 400, "BadExpirationDate": 400, "BadMessageId": 400, "BadPriority": 400, "BadTopic": 400,
		"DeviceTokenNotForTopic": 400, "DuplicateHeaders": 400, "IdleTimeout": 400, "InvalidPushType": 400, "MissingDeviceToken": 400,
		"MissingTopic": 400, "PayloadEmpty": 400, "TopicDisallowed": 400, "BadCertificate": 403, "BadCertificateEnvironment": 403,
		"BadEnvironmentKeyIdInToken": 403, "ExpiredProviderToken": 403, "Forbidden": 403, "InvalidProviderToken": 403,
		"MissingProviderToken": 403, "UnrelatedKeyIdInToken": 403, "BadPath": 404, "MethodNotAllowed": 405, "ExpiredToken": 410,
		"Unregistered": 410, "PayloadTooLarge": 413, "TooManyProviderTokenUpdates": 429, "TooManyRequests": 429,
		"InternalServerError": 500, "ServiceUnavailable": 503, "Shutdown": 503, "NeverHeardOf": 400,
	} {
		r.Script(APNs, testToken, Answer{Reason: reason})
		a := l.send(bearer)
		a.requireReason(t, status, reason)
		require.Equal(t, testID, a.header.Get("apns-id"))
		require.Equal(t, status == 410, strings.Contains(a.body, "timestamp"), reason)
		got := r.last()
		require.Equal(t, reason, got.Reason)
		require.Empty(t, got.Problem)
		require.False(t, got.Delivered)
		require.Equal(t, 200, l.send(bearer).status)
	}
	r.Script(APNs, testToken, Answer{Reason: "ExpiredToken", Status: 400})
	l.send(bearer).requireReason(t, 400, "ExpiredToken")
}

func TestAPNs_ScriptedAnswers(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	bearer := r.provider(CredentialOptions{}).token(0)
	l := r.dial(r.APNsURL())
	at := time.Date(2026, 11, 20, 10, 0, 0, 5e6, time.UTC)
	for name, c := range map[string]struct {
		answer Answer
		status int
		body   string
		header http.Header
	}{
		"timestamp":      {Answer{Reason: "Unregistered", Timestamp: at}, 410, `{"reason":"Unregistered","timestamp":1795168800005}`, nil},
		"timestamp 0":    {Answer{Reason: "Unregistered", Timestamp: time.UnixMilli(0)}, 410, `{"reason":"Unregistered","timestamp":0}`, nil},
		"no timestamp":   {Answer{Reason: "Unregistered", NoTimestamp: true}, 410, `{"reason":"Unregistered"}`, nil},
		"retry after":    {Answer{Reason: "TooManyRequests", RetryAfter: "30"}, 429, `{"reason":"TooManyRequests"}`, http.Header{"Retry-After": {"30"}}},
		"no body":        {Answer{Status: 500}, 500, ``, nil},
		"emptied body":   {Answer{Reason: "ServiceUnavailable", Body: new("")}, 503, ``, nil},
		"bad JSON":       {Answer{Status: 410, Body: new(`{"reason":`)}, 410, `{"reason":`, nil},
		"HTML":           {HTMLError(502), 502, *HTMLError(502).Body, http.Header{"Content-Type": {"text/html; charset=UTF-8"}}},
		"other headers":  {Answer{Header: map[string]string{"Apns-Id": "x", "apns-unique-id": "y"}}, 200, ``, http.Header{"Apns-Id": {"x"}, "Apns-Unique-Id": {"y"}}},
		"odd success":    {Answer{Status: 202}, 202, ``, nil},
		"a long answer":  {Answer{Status: 500, Body: new(strings.Repeat("x", 1<<20))}, 500, strings.Repeat("x", 1<<20), nil},
		"a bare reason":  {Answer{Status: 299, Reason: "Odd"}, 299, `{"reason":"Odd"}`, nil},
		"delayed answer": {Answer{Reason: "Unregistered", NoTimestamp: true, Delay: time.Millisecond}, 410, `{"reason":"Unregistered"}`, nil},
	} {
		r.Script(APNs, AnyToken, c.answer)
		a := l.send(bearer)
		require.Equal(t, c.status, a.status, name)
		require.Equal(t, c.body, a.body, name)
		for field, value := range c.header {
			require.Equal(t, value, a.header[field], name)
		}
		require.Equal(t, c.status/100 == 2, r.last().Delivered, name)
	}
}

func TestAPNs_NowIsTheTimestampByDefault(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	r.Script(APNs, testToken, Answer{Reason: "Unregistered"})
	a := r.dial(r.APNsURL()).send(r.provider(CredentialOptions{}).token(0))
	var body struct{ Timestamp int64 }
	require.NoError(t, json.Unmarshal([]byte(a.body), &body))
	require.WithinDuration(t, time.Now(), time.UnixMilli(body.Timestamp), time.Minute)
}

// A rule that is broken uses up no scripted answer.
func TestAPNs_RulesComeBeforeScripts(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	bearer := r.provider(CredentialOptions{}).token(0)
	l := r.dial(r.APNsURL())
	r.Script(APNs, testToken, Answer{Reason: "Unregistered"})
	bad := newPush(bearer)
	bad.set("Apns-Priority", "7")
	l.push(bad).requireReason(t, 400, "BadPriority")
	l.send(bearer).requireReason(t, 410, "Unregistered")
	require.Equal(t, 200, l.send(bearer).status)
}
