package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
)

// listener is one bound address with what serves it.
type listener struct {
	name   string
	inner  net.Listener
	server *http.Server
}

// bind opens an address. Binding happens before anything is served, so that a taken port fails the start and :0 works.
func bind(ctx context.Context, name, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", name, err)
	}
	return l, nil
}

// serve runs until the listener is closed or shut down. Any other end goes to failed.
func (l *listener) serve(failed chan<- error) {
	if err := l.server.Serve(l.inner); err != nil && !errors.Is(err, http.ErrServerClosed) {
		failed <- fmt.Errorf("serve %s: %w", l.name, err)
	}
}

// drain waits for requests under way, then closes what is left. The server closes only what it has begun to serve: where
// the start failed before, the address is given back here.
func (l *listener) drain(ctx context.Context) error {
	err := l.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, l.server.Close())
	}
	if closing := l.inner.Close(); closing != nil && !errors.Is(closing, net.ErrClosed) {
		err = errors.Join(err, fmt.Errorf("close listener: %w", closing))
	}
	return err
}

// announce logs where a listener is; tests and people who asked for port 0 read it.
func (l *listener) announce(log *slog.Logger) {
	log.Info("listening", slog.String("listener", l.name), slog.String("address", l.inner.Addr().String()))
}
