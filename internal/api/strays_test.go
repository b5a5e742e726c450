package api_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/push"
)

// mounted returns an engine with the sample API below /base, changed as the test wants.
func mounted(t *testing.T, o api.Options, change func(*api.API, *api.Group)) *api.Engine {
	t.Helper()
	group := api.Group{Style: api.StyleClient, Render: func(f api.Failure) any {
		return map[string]any{"code": f.Code, "ms": f.RetryAfterMS()}
	}}
	a := api.API{
		Name: "sample", Contract: load(t, sampleContract), BasePath: "/base",
		Register: func(r gin.IRouter) {
			r.GET("/base/things/:name", func(c *gin.Context) { c.String(http.StatusOK, api.ClientAddr(c).String()) })
			r.POST("/base/things", func(c *gin.Context) { c.Status(http.StatusOK) })
		},
	}
	change(&a, &group)
	a.Groups = map[string]api.Group{"things": group}
	e, err := api.New(o)
	require.NoError(t, err)
	require.NoError(t, e.Mount(a))
	return e
}

func send(e *api.Engine, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader("{}")))
	return w
}

func TestStrays_CORSBelowThePrefixOnly(t *testing.T) {
	t.Parallel()
	e := mounted(t, api.Options{}, func(a *api.API, g *api.Group) {
		a.Strays = api.Strays{Prefixes: []string{"/base"}, CORS: true}
		g.Authenticate = func(*http.Request) (any, error) { return nil, &push.Error{Kind: push.Unauthenticated} }
	})
	for target, status := range map[string]int{"/base/things/a?limit=1": 401, "/base/unknown": 404, "/base": 404} {
		w := send(e, http.MethodGet, target)
		require.Equal(t, status, w.Code)
		require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"), target)
		require.Equal(t, "Retry-After, X-Request-Id", w.Header().Get("Access-Control-Expose-Headers"))
		w = send(e, http.MethodOptions, target)
		require.Equal(t, http.StatusNoContent, w.Code)
		require.Empty(t, w.Body.String())
		require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
		require.NotEmpty(t, w.Header().Get("X-Request-Id"))
	}
	for _, target := range []string{"/based", "/", "/other/base"} {
		require.Empty(t, send(e, http.MethodGet, target).Header().Get("Access-Control-Allow-Origin"))
		require.Equal(t, http.StatusNotFound, send(e, http.MethodOptions, target).Code)
	}
}

func TestStrays_OwnBodyForTheLongestPrefix(t *testing.T) {
	t.Parallel()
	e := mounted(t, api.Options{}, func(a *api.API, _ *api.Group) {
		a.Strays = api.Strays{Prefixes: []string{"/base"}, Unrecognized: func(status int) any { return map[string]int{"outer": status} }}
	})
	require.NoError(t, e.Mount(api.API{
		Name: "inner", Contract: load(t, sampleContract),
		Strays:   api.Strays{Prefixes: []string{"/base/inner"}, Unrecognized: func(status int) any { return map[string]int{"inner": status} }},
		Register: func(gin.IRouter) {},
	}))
	require.JSONEq(t, `{"outer":404}`, send(e, http.MethodGet, "/base/x").Body.String())
	require.JSONEq(t, `{"outer":405}`, send(e, http.MethodPut, "/base/things").Body.String())
	require.JSONEq(t, `{"inner":404}`, send(e, http.MethodGet, "/base/inner/x").Body.String())
	require.JSONEq(t, `{"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}`, send(e, http.MethodGet, "/x").Body.String())
}

func TestGroup_HeadAsGet(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		e := mounted(t, api.Options{}, func(_ *api.API, g *api.Group) { g.HeadAsGet = on })
		want := map[bool]int{false: http.StatusMethodNotAllowed, true: http.StatusOK}[on]
		require.Equal(t, want, send(e, http.MethodHead, "/base/things/a?limit=1").Code)
		require.Equal(t, http.StatusMethodNotAllowed, send(e, http.MethodHead, "/base/things").Code)
	}
}

func TestGroup_Refine(t *testing.T) {
	t.Parallel()
	e := mounted(t, api.Options{}, func(_ *api.API, g *api.Group) {
		g.Authenticate = func(*http.Request) (any, error) {
			return nil, &push.Error{Kind: push.Limited, RetryAfter: 1500*time.Millisecond + 1}
		}
		g.Refine = func(f *api.Failure) { f.Status, f.Code = http.StatusTeapot, "teapot" }
	})
	w := send(e, http.MethodPost, "/base/things")
	require.Equal(t, http.StatusTeapot, w.Code)
	require.JSONEq(t, `{"code":"teapot","ms":1501}`, w.Body.String())
	require.Equal(t, "2", w.Header().Get("Retry-After"), "the two agree, rounded up")
	require.EqualValues(t, 1, api.Failure{}.RetryAfterMS())
}

func TestClientAddr(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		proxies []string
		want    string
	}{
		"nobody is trusted":   {nil, "192.0.2.1"},
		"the proxy is":        {[]string{"192.0.2.0/24"}, "198.51.100.7"},
		"another proxy is":    {[]string{"203.0.113.1"}, "192.0.2.1"},
		"the client too, odd": {[]string{"0.0.0.0/0"}, "203.0.113.9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := mounted(t, api.Options{TrustedProxies: c.proxies}, func(*api.API, *api.Group) {})
			r := httptest.NewRequest(http.MethodGet, "/base/things/a?limit=1", nil)
			r.Header.Set("X-Forwarded-For", "203.0.113.9, 198.51.100.7")
			r.Header.Set("X-Real-Ip", "203.0.113.77")
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			require.Equal(t, c.want, w.Body.String())
			r.Header.Del("X-Forwarded-For")
			w = httptest.NewRecorder()
			e.ServeHTTP(w, r)
			require.Equal(t, "192.0.2.1", w.Body.String(), "a header that is the caller's own is nobody's word")
		})
	}
	require.Equal(t, netip.Addr{}, api.ClientAddr(t.Context()))
}
