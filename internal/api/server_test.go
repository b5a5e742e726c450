package api_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api"
)

func TestNewServer_HasLimits(t *testing.T) {
	t.Parallel()
	s := api.NewServer(api.ServerOptions{Handler: http.NotFoundHandler(), TLS: &tls.Config{MinVersion: tls.VersionTLS12}})
	require.Equal(t, 5*time.Second, s.ReadHeaderTimeout)
	require.Equal(t, 15*time.Second, s.ReadTimeout)
	require.Equal(t, 30*time.Second, s.WriteTimeout)
	require.Equal(t, 60*time.Second, s.IdleTimeout)
	require.Equal(t, 16<<10, s.MaxHeaderBytes)
	require.Equal(t, 100, s.HTTP2.MaxConcurrentStreams)
	require.NotNil(t, s.TLSConfig)
	require.Equal(t, 80*time.Second, api.NewServer(api.ServerOptions{HandlerTime: time.Minute}).WriteTimeout)
}

func TestNewServer_RefusesLargeHeadersAndLogsQuietly(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := api.NewServer(api.ServerOptions{
		Handler: newSample(t).engine, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	r, err := http.NewRequest(http.MethodGet, "http://"+l.Addr().String()+"/base/v1/things/a?limit=1", nil)
	require.NoError(t, err)
	r.Header.Set("X-Large", strings.Repeat("x", 64<<10))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	answer, err := client.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, answer.StatusCode)

	s.ErrorLog.Print("a stranger's handshake failed")
	require.Empty(t, log.String(), "below debug level nothing is said about strangers")
	require.NoError(t, s.Close())
	require.True(t, errors.Is(<-done, http.ErrServerClosed))
}
