package clientfd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	wire "github.com/pushgate/pushgate/gen/clientfd"
	"github.com/pushgate/pushgate/internal/api/bearer/bearertest"
	"github.com/pushgate/pushgate/internal/api/clientfd"
	fdt "github.com/pushgate/pushgate/internal/api/clientfd/clientfdtest"
	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

const (
	setGeneric, setErezept = "/pushers/set", "/pushers/v1/set"
	secret                 = "c4n4ry-53cr3t"
)

// broken is a body that ends in an error.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// 3.5: every status with its code in both dialects.
func TestFailures(t *testing.T) {
	t.Parallel()
	down := &pushertest.Store{}
	down.Fail(errors.New("the database is away"))
	fails := func(err error) func(*fdt.Setup) {
		return func(o *fdt.Setup) { o.API.Authenticator = bearertest.Failing{Err: err} }
	}
	for name, c := range map[string]struct {
		change           func(*fdt.Setup)
		store            *pushertest.Store
		request          func(r *http.Request)
		body             string
		generic, erezept int
		code, erezeptIs  string
	}{
		"store down": {store: down, generic: 503, erezept: 503, code: "M_UNKNOWN", erezeptIs: "internalServerError"},
		"tokens cannot be checked": {
			change: fails(&push.Error{Kind: push.Unavailable, RetryAfter: time.Second}), generic: 503, erezept: 503, code: "M_UNKNOWN", erezeptIs: "internalServerError",
		},
		"a claim is missing": { // A_28112: the role oid_versicherter
			change:  fails(&push.Error{Kind: push.Forbidden, Code: auth.CodeForbidden, Msg: "no", Err: fmt.Errorf("jwt: %w", auth.ErrClaim)}),
			generic: 403, erezept: 403, code: "M_FORBIDDEN", erezeptIs: "invalidOid",
		},
		"nobody classified it": {change: fails(errors.New(secret)), generic: 500, erezept: 500, code: "M_UNKNOWN", erezeptIs: "internalServerError"},
		"a panic":              {change: func(o *fdt.Setup) { o.API.Authenticator = nobody{} }, generic: 500, erezept: 500, code: "M_UNKNOWN", erezeptIs: "internalServerError"},
		"too large": {
			body: fdt.Body("x", `"`+strings.Repeat("x", 70000)+`"`), generic: 413, erezept: 413, code: "M_TOO_LARGE", erezeptIs: "malformedRequest",
		},
		"compressed": {
			request: func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, generic: 415, erezept: 415, code: "M_UNKNOWN", erezeptIs: "malformedRequest",
		},
		"a body that does not come in time": {
			request: func(r *http.Request) {
				r.Body, r.ContentLength = readCloser{broken{fmt.Errorf("read: %w", os.ErrDeadlineExceeded)}}, -1
			},
			generic: 400, erezept: 408, code: "M_NOT_JSON", erezeptIs: "timeout",
		},
		"a body that breaks off": {
			request: func(r *http.Request) { r.Body, r.ContentLength = readCloser{broken{errors.New(secret)}}, -1 },
			generic: 400, erezept: 400, code: "M_NOT_JSON", erezeptIs: "malformedRequest",
		},
	} {
		for dialect, d := range map[string]fdt.Dialect{"generic": fdt.Generic(), "erezept": fdt.Erezept()} {
			t.Run(name+"/"+dialect, func(t *testing.T) {
				t.Parallel()
				store, body := c.store, c.body
				if store == nil {
					store = &pushertest.Store{}
				}
				if body == "" {
					body = fdt.Body()
				}
				s := fdt.NewServer(t, d, store, c.change)
				path, status, code := setGeneric, c.generic, c.code
				if d.Erezept {
					path, status, code = setErezept, c.erezept, c.erezeptIs
				}
				r := s.Request(fdt.Erika, http.MethodPost, path, "", body)
				if c.request != nil {
					c.request(r)
				}
				text := s.Refuses(s.Serve(r, path), status, code)
				require.NotContains(t, text, secret)
			})
		}
	}
}

type readCloser struct{ broken }

func (readCloser) Close() error { return nil }

// nobody is an authenticator that panics.
type nobody struct{}

func (nobody) Authenticate(context.Context, push.Realm, auth.Token) (auth.Identity, error) {
	panic(secret)
}

// 3.2 and 3.5: 429 with retry_after_ms, in both spellings.
func TestLimits(t *testing.T) {
	t.Parallel()
	for dialect, d := range map[string]fdt.Dialect{"M_LIMIT_EXCEEDED": fdt.Generic(), "rateLimitExceeded": fdt.Erezept()} {
		s := fdt.NewServer(t, d, &pushertest.Store{}, func(o *fdt.Setup) {
			o.API.Limiter = auth.NewLimiter(auth.LimitsConfig{
				WritesPerUser: auth.Rate{Count: 2, Per: time.Hour}, WritesPerAddress: auth.Rate{Count: 100, Per: time.Hour},
			})
		})
		s.MustSet(fdt.Erika, fdt.Body())
		require.Equal(t, http.StatusOK, s.Choose(fdt.Erika, "key", "erp.task.activate", "enabled").Code)
		for _, w := range []*httptest.ResponseRecorder{s.Set(fdt.Erika, fdt.Body()), s.Choose(fdt.Erika, "key", "erp.task.activate", "disabled")} {
			s.Refuses(w, http.StatusTooManyRequests, dialect)
			var e wire.LimitError
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e))
			require.Positive(t, e.RetryAfterMs)
			require.NotEmpty(t, w.Header().Get("Retry-After"))
		}
		require.Equal(t, "enabled disabled enabled", s.Chosen(fdt.Erika, "key"), "reading is not limited")
		s.MustSet(fdt.Max, fdt.Body("append", "true"))
	}
}

// fachdienst.encryption: required, optional, forbidden. gateways: an empty list is every public host.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	sealed, open := fdt.Body(), fdt.Body("encryption", "")
	other := fdt.Body("data", `{"url":"https://other.example.com:8443/push/v1/"}`)
	private := fdt.Body("data", `{"url":"https://127.0.0.1/push/v1/"}`)
	for name, c := range map[string]struct {
		change func(*pusher.FachdienstConfig)
		status map[string]int
	}{
		"required":  {func(c *pusher.FachdienstConfig) { c.Encryption = pusher.EncryptionRequired }, map[string]int{sealed: 200, open: 400}},
		"optional":  {func(c *pusher.FachdienstConfig) { c.Encryption = pusher.EncryptionOptional }, map[string]int{sealed: 200, open: 200}},
		"forbidden": {func(c *pusher.FachdienstConfig) { c.Encryption = pusher.EncryptionForbidden }, map[string]int{sealed: 400, open: 200}},
		"a list":    {func(*pusher.FachdienstConfig) {}, map[string]int{other: 400, private: 400}},
		"no list":   {func(c *pusher.FachdienstConfig) { c.Gateways = nil }, map[string]int{sealed: 200, other: 200, private: 400}},
	} {
		for _, d := range []fdt.Dialect{fdt.Generic(), fdt.Erezept()} {
			s := fdt.NewServer(t, d, &pushertest.Store{}, func(o *fdt.Setup) { c.change(&o.Fachdienst) })
			for body, status := range c.status {
				w := s.Set(fdt.Erika, body)
				require.Equalf(t, status, w.Code, "%s: %s\n%s", name, body, w.Body)
			}
		}
	}
}

func TestErezeptPaths_OnlyWhereConfigured(t *testing.T) {
	t.Parallel()
	s := fdt.NewServer(t, fdt.Generic(), &pushertest.Store{}, func(o *fdt.Setup) { o.API.ErezeptPaths = false })
	for _, path := range []string{"/pushers/v1", "/channels/v1", "/channels/v1/key", "/push/v1/pushers/v1"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+fdt.Erika)
		s.Engine.ServeHTTP(w, r)
		require.Equal(t, http.StatusNotFound, w.Code, path)
	}
	s.MustSet(fdt.Erika, fdt.Body())
}

// A_27157: the ISS ends with the request; what is kept is the first generation. Nothing of it reaches an answer or a log.
func TestSet_DerivesTheFirstKeyAndForgetsTheSecret(t *testing.T) {
	t.Parallel()
	store := &pushertest.Store{}
	s := fdt.NewServer(t, fdt.Erezept(), store, nil)
	s.MustSet(fdt.Erika, fdt.Body("lang", `"c4n4ry"`, "pushkey", `"c4n4ry-key"`))
	p, ok := store.Stored(pusher.Key{Owner: bearertest.Insured("X110400001").Owner(), AppID: "app", Pushkey: "c4n4ry-key"})
	require.True(t, ok)
	require.Equal(t, "2026-07", p.Encryption.Generation.Month().String())
	require.Equal(t, "5EBB1486-7430-42C0-B9AA-B57CA6C90EA4", p.Encryption.KeyID.Reveal(), "2.3: byte for byte")
	require.NotContains(t, s.List(fdt.Erika), "encryption")
	s.Set(fdt.Erika, fdt.Body("encryption", fdt.Encryption("method", `"`+secret+`"`)))
	s.Chosen(fdt.Erika, "c4n4ry-key")
	for _, word := range []string{"c4n4ry", "X110400001", fdt.Erika, "5EBB1486"} {
		require.NotContains(t, s.Log.String(), word)
	}
}

func TestNew_NeedsWhatItWorksWith(t *testing.T) {
	t.Parallel()
	service := pusher.New(pusher.Options{Store: &pushertest.Store{}})
	good := clientfd.Options{Registry: service, Channels: service, Authenticator: bearertest.People{}, BasePaths: []string{"/a", "/b"}, ErezeptPaths: true}
	apis, err := clientfd.New(good)
	require.NoError(t, err)
	require.Len(t, apis, 3)
	for name, spoil := range map[string]func(*clientfd.Options){
		"registry":      func(o *clientfd.Options) { o.Registry = nil },
		"channels":      func(o *clientfd.Options) { o.Channels = nil },
		"authenticator": func(o *clientfd.Options) { o.Authenticator = nil },
		"paths":         func(o *clientfd.Options) { o.BasePaths, o.ErezeptPaths = nil, false },
	} {
		o := good
		spoil(&o)
		_, err := clientfd.New(o)
		require.Error(t, err, name)
	}
}
