package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/oapi-codegen/runtime"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/push"
)

// A contract with what the push gateway's does not have: path and query parameters, a base path.
const sampleContract = `
openapi: 3.1.0
info: {title: sample, version: "1"}
paths:
  /things/{name}:
    get:
      operationId: getThing
      tags: [things]
      parameters:
        - {name: name, in: path, required: true, schema: {type: string, maxLength: 8}}
        - {name: limit, in: query, required: true, schema: {type: integer, minimum: 1}}
      responses: {"200": {description: ok}}
  /things:
    post:
      operationId: setThing
      tags: [things]
      requestBody:
        required: true
        content: {application/json: {schema: {type: object, required: [name], properties: {name: {type: string}, free: {type: object}}}}}
      responses: {"200": {description: ok}}
    put:
      operationId: unserved
      tags: [others]
      responses: {"200": {description: ok}}
`

const secret = "c4n4ry-53cr3t"

func load(t testing.TB, text string) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	require.NoError(t, err)
	return doc
}

// sample is an engine with one small API whose handlers do as they are told.
type sample struct {
	engine *api.Engine
	log    bytes.Buffer
	get    func(c *gin.Context)
	post   func(c *gin.Context)
	auth   func(*http.Request) (any, error)
}

func newSample(t testing.TB) *sample {
	t.Helper()
	s := &sample{}
	s.get = func(c *gin.Context) { c.String(http.StatusOK, c.Param("name")) }
	s.post = func(c *gin.Context) { c.Status(http.StatusOK) }
	logger := slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	s.engine, err = api.New(api.Options{Logger: logger})
	require.NoError(t, err)
	require.NoError(t, s.engine.Mount(api.API{
		Name: "sample", Contract: load(t, sampleContract), BasePath: "/base/v1",
		Groups: map[string]api.Group{"things": {
			Style: api.StyleClient, MaxBodyBytes: 1000,
			Render: func(f api.Failure) any { return map[string]string{"errcode": f.Code, "error": f.Text} },
			Authenticate: func(r *http.Request) (any, error) {
				if s.auth == nil {
					return "nobody", nil
				}
				return s.auth(r)
			},
		}},
		Register: func(r gin.IRouter) {
			r.GET("/base/v1/things/:name", func(c *gin.Context) { s.get(c) })
			r.POST("/base/v1/things", func(c *gin.Context) { s.post(c) })
			r.PUT("/base/v1/things", func(c *gin.Context) { c.Status(http.StatusOK) })
		},
	}))
	return s
}

func (s *sample) do(method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.engine.ServeHTTP(w, r)
	return w
}

func TestEngine_Parameters(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target string
		status int
		body   string
	}{
		"good":                {"/base/v1/things/a?limit=1", 200, "a"},
		"escaped slash":       {"/base/v1/things/a%2Fb%2B+==?limit=1", 200, "a/b++=="},
		"escaped percent":     {"/base/v1/things/%25zz?limit=1", 200, "%zz"},
		"query missing":       {"/base/v1/things/a", 400, `{"errcode":"M_MISSING_PARAM","error":"Missing: limit"}` + "\n"},
		"query not a number":  {"/base/v1/things/a?limit=" + secret, 400, `{"errcode":"M_INVALID_PARAM","error":"Not valid: limit"}` + "\n"},
		"query below minimum": {"/base/v1/things/a?limit=0", 400, `{"errcode":"M_INVALID_PARAM","error":"Not valid: limit"}` + "\n"},
		"name too long":       {"/base/v1/things/" + secret + "?limit=1", 400, `{"errcode":"M_INVALID_PARAM","error":"Not valid: name"}` + "\n"},
		"without base path":   {"/things/a?limit=1", 404, `{"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSample(t)
			w := s.do(http.MethodGet, c.target, "")
			require.Equal(t, c.status, w.Code)
			require.Equal(t, c.body, w.Body.String())
			require.NotContains(t, s.log.String(), secret)
			require.NotContains(t, s.log.String(), "/base", "paths and queries stay out of the log")
		})
	}
	require.Equal(t, http.StatusMethodNotAllowed, newSample(t).do(http.MethodPut, "/base/v1/things", "").Code, "a group that is not served")
}

// Every door is opened with a secret in its hands, and none may let it out: not to the caller, and to the log only where
// our own code returned it as the cause.
func TestDoors_LetNoSecretOut(t *testing.T) {
	t.Parallel()
	post := func(s *sample) *httptest.ResponseRecorder {
		return s.do(http.MethodPost, "/base/v1/things", `{"name":"x"}`)
	}
	fails := func(door func(*gin.Context, error), err error) func(*sample) *httptest.ResponseRecorder {
		return func(s *sample) *httptest.ResponseRecorder {
			s.post = func(c *gin.Context) { door(c, err) }
			return post(s)
		}
	}
	for name, c := range map[string]struct {
		open     func(*sample) *httptest.ResponseRecorder
		status   int
		code     string
		mayBeLog bool
	}{
		"no route":  {func(s *sample) *httptest.ResponseRecorder { return s.do(http.MethodPost, "/"+secret, secret) }, 404, "M_UNRECOGNIZED", false},
		"no method": {func(s *sample) *httptest.ResponseRecorder { return s.do("DELETE", "/base/v1/things/"+secret, secret) }, 405, "M_UNRECOGNIZED", false},
		"contract": {func(s *sample) *httptest.ResponseRecorder {
			return s.do("POST", "/base/v1/things", `{"name":["`+secret+`"]}`)
		}, 400, "M_INVALID_PARAM", false},
		"contract, JSON": {func(s *sample) *httptest.ResponseRecorder { return s.do("POST", "/base/v1/things", `{"`+secret+`":1`) }, 400, "M_NOT_JSON", false},
		"parameter": {func(s *sample) *httptest.ResponseRecorder {
			s.post = func(c *gin.Context) { api.ParameterError(c, errors.New(secret), 418) }
			return post(s)
		}, 400, "M_INVALID_PARAM", false},
		"request":         {fails(api.RequestError, errors.New(secret)), 400, "M_INVALID_PARAM", false},
		"response":        {fails(api.ResponseError, errors.New(secret)), 500, "M_UNKNOWN", false},
		"handler":         {fails(api.HandlerError, errors.New(secret)), 500, "M_UNKNOWN", true},
		"handler, cause":  {fails(api.HandlerError, &push.Error{Kind: push.Unavailable, Msg: "later", Err: errors.New(secret)}), 503, "M_UNKNOWN", true},
		"handler, URL":    {fails(api.HandlerError, &url.Error{Op: "Post", URL: "https://apns.example/3/device/" + secret, Err: io.EOF}), 500, "M_UNKNOWN", false},
		"handler, caller": {fails(api.HandlerError, &push.Error{Kind: push.NotFound, Err: errors.New(secret)}), 404, "M_NOT_FOUND", false},
		"authentication": {func(s *sample) *httptest.ResponseRecorder {
			s.auth = func(*http.Request) (any, error) {
				return nil, &push.Error{Kind: push.Unauthenticated, Code: "M_UNKNOWN_TOKEN", Msg: "Unknown token", Err: errors.New(secret)}
			}
			return post(s)
		}, 401, "M_UNKNOWN_TOKEN", false},
		"panic": {func(s *sample) *httptest.ResponseRecorder {
			s.post = func(*gin.Context) { panic(secret) }
			return post(s)
		}, 500, "M_UNKNOWN", false},
		"panic with an error": {func(s *sample) *httptest.ResponseRecorder {
			s.post = func(*gin.Context) { panic(errors.New(secret)) }
			return post(s)
		}, 500, "M_UNKNOWN", false},
		"panic of the runtime": {func(s *sample) *httptest.ResponseRecorder {
			s.post = func(c *gin.Context) { _ = []byte(secret)[c.Writer.Status()] }
			return post(s)
		}, 500, "M_UNKNOWN", false},
		"panic while authenticating": {func(s *sample) *httptest.ResponseRecorder {
			s.auth = func(*http.Request) (any, error) { panic(secret) }
			return post(s)
		}, 500, "M_UNKNOWN", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSample(t)
			w := c.open(s)
			require.Equal(t, c.status, w.Code)
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			var body struct{ Errcode, Error string }
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
			require.Equal(t, c.code, body.Errcode)
			require.NotEmpty(t, body.Error)
			require.NotContains(t, w.Body.String(), secret)
			require.Equal(t, c.mayBeLog, strings.Contains(s.log.String(), secret), s.log.String())
			require.Contains(t, s.log.String(), w.Header().Get("X-Request-Id"))
		})
	}
}

func TestDoors_HalfAnAnswerBreaksTheConnection(t *testing.T) {
	t.Parallel()
	for name, post := range map[string]func(*gin.Context){
		"panic":    func(c *gin.Context) { c.String(http.StatusOK, "half"); panic(secret) },
		"response": func(c *gin.Context) { c.String(http.StatusOK, "half"); api.ResponseError(c, errors.New(secret)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSample(t)
			s.post = post
			server := httptest.NewServer(s.engine)
			defer server.Close()
			answer, err := http.Post(server.URL+"/base/v1/things", "application/json", strings.NewReader(`{"name":"x"}`))
			if err == nil {
				_, err = io.ReadAll(answer.Body)
				_ = answer.Body.Close()
			}
			require.Error(t, err, "the caller must not take half an answer for a whole one")
		})
	}
}

func TestStyles_StatusOfEachKind(t *testing.T) {
	t.Parallel()
	// One row for each kind, one column for each style. A new kind needs a row.
	table := map[push.Kind][3]int{
		push.Internal:        {500, 500, 500},
		push.Invalid:         {400, 400, 400},
		push.TooLarge:        {413, 413, 413},
		push.Unauthenticated: {401, 401, 401},
		push.Forbidden:       {401, 401, 403},
		push.NotFound:        {404, 404, 404},
		push.Limited:         {503, 503, 429},
		push.Unavailable:     {503, 503, 503},
		push.Unsupported:     {400, 415, 415},
		push.Unsupported + 1: {500, 500, 500},
	}
	for kind, want := range table {
		for style, status := range want {
			s := newSample(t)
			engine, err := api.New(api.Options{})
			require.NoError(t, err)
			require.NoError(t, engine.Mount(api.API{
				Name: "sample", Contract: load(t, sampleContract),
				Groups: map[string]api.Group{"things": {
					Style: api.Style(style), Render: func(f api.Failure) any { return f.Text },
					Authenticate: func(*http.Request) (any, error) { return nil, &push.Error{Kind: kind, RetryAfter: time.Millisecond} },
				}},
				Register: func(r gin.IRouter) { r.POST("/things", func(*gin.Context) {}) },
			}))
			s.engine = engine
			w := s.do(http.MethodPost, "/things", `{}`)
			require.Equalf(t, status, w.Code, "kind %d, style %d", kind, style)
			retry := ""
			if status == 429 || status == 503 {
				retry = "1"
			}
			require.Equal(t, retry, w.Header().Get("Retry-After"))
		}
	}
}

func TestEngine_HandlersBindTheCheckedValueOnly(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	s.post = func(c *gin.Context) {
		checked, ok := c.Request.Body.(interface{ ValidatedValue() any })
		require.True(t, ok)
		var body struct {
			Name string         `json:"name"`
			Free map[string]any `json:"free"`
		}
		require.NoError(t, runtime.BindJSONValue(checked.ValidatedValue(), &body))
		require.Equal(t, "right", body.Name)
		require.Equal(t, map[string]any{"a": []any{1.0, "x"}, "b": nil}, body.Free)
		_, err := io.ReadAll(c.Request.Body)
		require.Error(t, err, "decoding again by other rules is not possible")
		require.NoError(t, c.Request.Body.Close())
		c.Status(http.StatusOK)
	}
	require.Equal(t, http.StatusOK, s.do(http.MethodPost, "/base/v1/things", `{"name":"right","Name":"wrong","free":{"a":[1,"x"],"b":null}}`).Code)
}

func TestEngine_AuthenticatesBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	s.auth = func(*http.Request) (any, error) { return nil, &push.Error{Kind: push.Unauthenticated} }
	r := httptest.NewRequest(http.MethodPost, "/base/v1/things", unread{t})
	w := httptest.NewRecorder()
	s.engine.ServeHTTP(w, r)
	require.Equal(t, http.StatusUnauthorized, w.Code)
}

type unread struct{ t testing.TB }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestEngine_IdentityReachesTheHandler(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	s.auth = func(*http.Request) (any, error) { return 42, nil }
	s.post = func(c *gin.Context) {
		require.Equal(t, 42, api.Identity[int](c))
		require.Equal(t, 42, api.Identity[int](api.Context(c)))
		require.Empty(t, api.Identity[string](c))
		require.Empty(t, api.Sizes(c))
		c.Status(http.StatusOK)
	}
	require.Equal(t, http.StatusOK, s.do(http.MethodPost, "/base/v1/things", `{"name":"x"}`).Code)
	require.Zero(t, api.Identity[int](context.Background()))
	require.Equal(t, context.Background(), api.Context(context.Background()))
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	for given, kept := range map[string]bool{
		"3f5f9f6e-6f0c-4a9b-9b0e-000000000000": true, "a.b_c:D-9": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a b": false, "a\"b": false, "ü": false, "a\tb": false, "<script>": false, "a/b": false,
	} {
		s := newSample(t)
		r := httptest.NewRequest(http.MethodGet, "/base/v1/things/a?limit=1", nil)
		r.Header["X-Request-Id"] = []string{given}
		w := httptest.NewRecorder()
		s.get = func(c *gin.Context) { c.String(http.StatusOK, push.RequestID(c)) }
		s.engine.ServeHTTP(w, r)
		id := w.Header().Get("X-Request-Id")
		require.Equal(t, id, w.Body.String())
		if kept {
			require.Equal(t, given, id)
			continue
		}
		require.Regexp(t, "^[0-9a-f]{32}$", id)
	}
}

func TestEngine_AccessLog(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	s.do(http.MethodPost, "/base/v1/things?access_token="+secret, `{"name":"x"}`)
	var line map[string]any
	require.NoError(t, json.Unmarshal(s.log.Bytes(), &line), "exactly one line")
	require.Equal(t, "request", line["msg"])
	require.Equal(t, "INFO", line["level"])
	require.Equal(t, "setThing", line["operation"])
	require.EqualValues(t, 200, line["status"])
	require.EqualValues(t, len(`{"name":"x"}`), line["bytes"])
	require.Contains(t, line, "duration_ms")
	require.Contains(t, line, "request_id")
	require.NotContains(t, s.log.String(), secret)
}

func TestMount_RefusesContractsThatWouldNotBeChecked(t *testing.T) {
	t.Parallel()
	body := func(schema string) string {
		return `{"openapi":"3.1.0","info":{"title":"t","version":"1"},"paths":{"/x":{"post":{"operationId":"x","tags":["x"],"requestBody":{"required":true,"content":{"application/json":{"schema":` +
			schema + `}}},"responses":{"200":{"description":"ok"}}}}}}`
	}
	for keyword, schema := range map[string]string{
		"const":                 `{"const":1}`,
		"prefixItems":           `{"type":"array","items":{},"prefixItems":[{}]}`,
		"contains":              `{"type":"array","items":{},"contains":{"type":"string"}}`,
		"patternProperties":     `{"type":"object","patternProperties":{"^a":{"type":"string"}}}`,
		"dependentSchemas":      `{"type":"object","dependentSchemas":{"a":{"type":"object"}}}`,
		"dependentRequired":     `{"type":"object","dependentRequired":{"a":["b"]}}`,
		"propertyNames":         `{"type":"object","propertyNames":{"maxLength":3}}`,
		"unevaluatedProperties": `{"type":"object","unevaluatedProperties":false}`,
		"unevaluatedItems":      `{"type":"array","items":{},"unevaluatedItems":false}`,
		"if":                    `{"type":"object","if":{"required":["a"]},"then":{"required":["b"]}}`,
		"$defs":                 `{"type":"object","$defs":{"a":{"type":"string"}}}`,
		"contentSchema":         `{"type":"string","contentMediaType":"application/json"}`,
		"uniqueItems":           `{"type":"array","items":{},"uniqueItems":true}`,
	} {
		for where, wrapped := range map[string]string{
			"here": schema, "in a property": `{"type":"object","properties":{"a":` + schema + `}}`, "in items": `{"type":"array","items":` + schema + `}`,
			"in allOf": `{"allOf":[` + schema + `]}`, "in a map": `{"type":"object","additionalProperties":` + schema + `}`, "in not": `{"not":` + schema + `}`,
		} {
			t.Run(keyword+" "+where, func(t *testing.T) {
				t.Parallel()
				require.ErrorContains(t, mount(t, load(t, body(wrapped))), keyword)
			})
		}
	}
	require.NoError(t, mount(t, load(t, body(`{"type":["object","null"],"properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]}}}`))))
	require.ErrorContains(t, mount(t, load(t, body(`{"type":"array","items":{"type":"object","x-go-type":"json.RawMessage"}}`))), "verbatim")
	require.ErrorContains(t, mount(t, load(t, strings.Replace(body(`{}`), `"required":true`, `"required":false`, 1))), "required")
	require.ErrorContains(t, mount(t, load(t, strings.Replace(body(`{}`), `"tags":["x"],`, ``, 1))), "tag")
	require.ErrorContains(t, mount(t, load(t, strings.Replace(body(`{}`), `"title":"t",`, ``, 1))), "contract")
	require.ErrorContains(t, mount(t, nil), "missing")
}

func TestMount_RefusesWhatTheContractDoesNotHave(t *testing.T) {
	t.Parallel()
	engine, err := api.New(api.Options{})
	require.NoError(t, err)
	group := map[string]api.Group{"things": {Render: func(api.Failure) any { return nil }}}
	require.ErrorContains(t, engine.Mount(api.API{Contract: load(t, sampleContract), Groups: group, Register: func(r gin.IRouter) {
		r.GET("/elsewhere", func(*gin.Context) {})
		r.DELETE("/things", func(*gin.Context) {})
	}}), "DELETE /things is not in the contract")
	require.ErrorContains(t, engine.Mount(api.API{Contract: load(t, sampleContract), Groups: group}), "nothing to register")
	require.ErrorContains(t, engine.Mount(api.API{Contract: load(t, sampleContract), Groups: map[string]api.Group{"things": {}}, Register: func(r gin.IRouter) {
		r.POST("/things", func(*gin.Context) {})
	}}), "cannot render")
}

// Base paths are configured, and changed while the process serves: two that collide are an error like any other.
func TestMount_RefusesAPathThatIsTaken(t *testing.T) {
	t.Parallel()
	engine, err := api.New(api.Options{})
	require.NoError(t, err)
	things := api.API{
		Name: "things", Contract: load(t, sampleContract),
		Groups:   map[string]api.Group{"things": {Render: func(api.Failure) any { return nil }}},
		Register: func(r gin.IRouter) { r.POST("/things", func(*gin.Context) {}) },
	}
	require.NoError(t, engine.Mount(things))
	require.ErrorContains(t, engine.Mount(things), "things: paths collide")
}

func mount(t testing.TB, doc *openapi3.T) error {
	t.Helper()
	engine, err := api.New(api.Options{})
	require.NoError(t, err)
	return engine.Mount(api.API{
		Name: "sample", Contract: doc, Groups: map[string]api.Group{"x": {Render: func(api.Failure) any { return nil }}},
		Register: func(r gin.IRouter) { r.POST("/x", func(*gin.Context) {}) },
	})
}
