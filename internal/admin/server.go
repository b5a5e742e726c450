package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	maxCommand     = 1 << 20
	commandTimeout = 55 * time.Second
)

// failure is the body of an answer that is not 200.
type failure struct {
	Error string `json:"error"`
}

// Command is one thing that can be asked for: it reads its own input and returns what is sent back.
type Command func(ctx context.Context, decode func(any) error) (any, error)

// Server answers commands on a socket.
type Server struct {
	http *http.Server
	path string
	log  *slog.Logger
}

// Listen opens the socket in dataDir, taking the place of one that a dead process left behind, and answers until Close.
// The store's own lock keeps a second living process away.
func Listen(ctx context.Context, dataDir string, commands map[string]Command, log *slog.Logger) (*Server, error) {
	s := &Server{path: filepath.Join(dataDir, SocketName), log: log}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	// Created inside a private folder first: there is no moment at which others could open it.
	l, err := listenPrivately(ctx, s.path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	mux := http.NewServeMux()
	for name, run := range commands {
		mux.HandleFunc("POST /"+name, s.handle(name, run))
	}
	s.http = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() { _ = s.http.Serve(l) }()
	return s, nil
}

// listenPrivately binds the socket with mode 0600 from the first moment on.
func listenPrivately(ctx context.Context, path string) (net.Listener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".admin-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	inside := filepath.Join(dir, "s")
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", inside)
	if err != nil {
		return nil, err
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	if err := errors.Join(os.Chmod(inside, 0o600), os.Rename(inside, path)); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// handle runs a command and writes its answer. Every command is logged: it is a person's doing.
func (s *Server) handle(name string, run Command) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), commandTimeout)
		defer cancel()
		out, err := run(ctx, func(in any) error {
			dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand))
			dec.DisallowUnknownFields()
			if err := dec.Decode(in); err != nil {
				return &push.Error{Kind: push.Invalid, Msg: "the command cannot be read: client and server differ in version?", Err: err}
			}
			return nil
		})
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			s.log.Warn("admin command failed", slog.String("command", name), slog.Any("error", err))
			text := "failed, see the log"
			if e, ok := errors.AsType[*push.Error](err); ok {
				text = e.Msg
			}
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(failure{text})
			return
		}
		s.log.Info("admin command", slog.String("command", name))
		_ = json.NewEncoder(w).Encode(out)
	}
}

// Close ends the socket and removes it.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	if rm := os.Remove(s.path); rm != nil && !errors.Is(rm, os.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return err
}
