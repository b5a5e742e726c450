package api

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

// town is a pressure whose crowd the test makes.
type town struct {
	*pressure
	crowd int64
	log   bytes.Buffer
}

func newTown() *town {
	t := &town{}
	t.pressure = newPressure(slog.New(slog.NewTextHandler(&t.log, nil)))
	t.waiting = func() int64 { return t.crowd }
	return t
}

// arrive lets n requests come, ten milliseconds apart, and returns how many were refused. None of them ends.
func (t *town) arrive(tt *testing.T, n int) (refused int) {
	for range n {
		time.Sleep(10 * time.Millisecond)
		if !t.enter(tt.Context()) {
			refused++
		}
	}
	return refused
}

func TestPressure(t *testing.T) {
	t.Parallel()
	full := func(p *town) { p.crowd = p.pressure.crowd + 1; p.underWay.Store(p.gather) }
	tests := []struct {
		name  string
		story func(t *testing.T, p *town)
	}{
		{"a crowd that stays is refused", func(t *testing.T, p *town) {
			full(p)
			refused := p.arrive(t, 100)
			require.Positive(t, refused)
			require.Less(t, refused, 80, "a quarter of a second is patience")
		}},
		{"a burst passes", func(t *testing.T, p *town) {
			for range 10 {
				full(p)
				require.Zero(t, p.arrive(t, 20))
				p.crowd = 0
				require.Zero(t, p.arrive(t, 1))
			}
		}},
		{"few requests that start many goroutines pass", func(t *testing.T, p *town) {
			p.crowd = 100 * p.pressure.crowd
			require.Zero(t, p.arrive(t, int(p.gather)))
		}},
		{"many requests that wait for a provider pass", func(t *testing.T, p *town) {
			p.underWay.Store(100 * p.gather)
			require.Zero(t, p.arrive(t, 100))
		}},
		{"the next crowd soon after is refused at once", func(t *testing.T, p *town) {
			full(p)
			require.Positive(t, p.arrive(t, 100))
			p.crowd = 0
			require.Zero(t, p.arrive(t, 5))
			full(p)
			require.Equal(t, 3, p.arrive(t, 3))
		}},
		{"a crowd long after is a burst again", func(t *testing.T, p *town) {
			full(p)
			require.Positive(t, p.arrive(t, 100))
			p.crowd = 0
			require.Zero(t, p.arrive(t, 200))
			full(p)
			require.Zero(t, p.arrive(t, 20))
		}},
		{"two moments far apart are no crowd that stayed", func(t *testing.T, p *town) {
			full(p)
			for range 5 {
				require.Zero(t, p.arrive(t, 1))
				time.Sleep(time.Minute)
			}
		}},
		{"room is there as soon as requests have ended", func(t *testing.T, p *town) {
			full(p)
			require.Positive(t, p.arrive(t, 100))
			for p.underWay.Load() >= p.gather {
				p.leave()
			}
			require.True(t, p.enter(t.Context()))
		}},
		{"the log is told once in a while", func(t *testing.T, p *town) {
			full(p)
			p.arrive(t, 500)
			require.Equal(t, 1, strings.Count(p.log.String(), "\n"))
			p.arrive(t, 1000)
			require.Equal(t, 2, strings.Count(p.log.String(), "\n"))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { tt.story(t, newTown()) })
		})
	}
}

// TestPressure_Answer holds what a refused caller gets, and that its body was never read.
func TestPressure_Answer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		style  Style
		status int
	}{
		{"gematik gateway", StyleGematik, http.StatusServiceUnavailable},
		{"Matrix gateway", StyleMatrixGateway, http.StatusServiceUnavailable},
		{"client", StyleClient, http.StatusTooManyRequests},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc, err := openapi3.NewLoader().LoadFromData([]byte(`
openapi: 3.1.0
info: {title: sample, version: "1"}
paths:
  /things:
    post:
      operationId: setThing
      tags: [things]
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {"200": {description: ok}}
`))
			require.NoError(t, err)
			var log bytes.Buffer
			e, err := New(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			require.NoError(t, err)
			require.NoError(t, e.Mount(API{
				Name: "sample", Contract: doc, Groups: map[string]Group{"things": {Style: tt.style, Render: renderPlain}},
				Register: func(r gin.IRouter) { r.POST("/things", func(c *gin.Context) { c.Status(http.StatusOK) }) },
			}))
			e.pressure.high.Store(true)
			e.pressure.underWay.Store(e.pressure.gather)
			e.pressure.next.Store(1 << 62) // nobody looks again

			body := strings.NewReader(`{}`)
			res := httptest.NewRecorder()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/things", body)
			req.Header.Set("Content-Type", "application/json")
			e.ServeHTTP(res, req)
			require.Equal(t, tt.status, res.Code)
			require.Equal(t, "1", res.Header().Get("Retry-After"))
			require.Equal(t, 2, body.Len())
			require.Empty(t, log.String(), "no line for each refusal")

			e.pressure.leave()
			res = httptest.NewRecorder()
			e.ServeHTTP(res, req)
			require.Equal(t, http.StatusOK, res.Code)
			require.Equal(t, e.pressure.gather-1, e.pressure.underWay.Load(), "a request that ended has left")
		})
	}
}
