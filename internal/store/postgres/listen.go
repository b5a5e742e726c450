package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// channel is what a change of the ledger is announced on.
const channel = "pushgate_ledger"

const (
	reconnectPause = time.Second
	// quiet is how long the connection may say nothing before it is asked whether it still lives: a network that
	// swallows packets would keep it silent for ever.
	quiet     = 30 * time.Second
	pingLimit = 5 * time.Second
)

// listener follows announcements on a connection of its own. It signals once for many, and after every new connection,
// as announcements may have been missed.
type listener struct {
	config  *pgx.ConnConfig
	logger  *slog.Logger
	changed chan struct{}
	cancel  context.CancelFunc
	done    chan struct{}
}

func listen(config *pgx.ConnConfig, logger *slog.Logger) *listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &listener{config: config, logger: logger, changed: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	go l.run(ctx)
	return l
}

func (l *listener) close() {
	l.cancel()
	<-l.done
}

func (l *listener) run(ctx context.Context) {
	defer close(l.done)
	for lost := false; ctx.Err() == nil; {
		err := l.follow(ctx, func() {
			if lost {
				l.logger.Info("following the ledger again")
			}
			lost = false
		})
		if ctx.Err() != nil {
			return
		}
		if !lost {
			l.logger.Warn("cannot follow the ledger, trying again", slog.Any("error", err))
		}
		lost = true
		select {
		case <-ctx.Done():
		case <-time.After(reconnectPause):
		}
	}
}

// follow connects and waits for announcements until the connection breaks.
func (l *listener) follow(ctx context.Context, connected func()) error {
	conn, err := pgx.ConnectConfig(ctx, l.config.Copy())
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingLimit)
		defer cancel()
		_ = conn.Close(end)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	connected()
	l.signal()
	for {
		if err := l.next(ctx, conn); err != nil {
			return err
		}
	}
}

// next waits for one announcement, or finds after a quiet time that the connection still lives.
func (l *listener) next(ctx context.Context, conn *pgx.Conn) error {
	waiting, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	_, err := conn.WaitForNotification(waiting)
	if err == nil {
		l.signal()
		return nil
	}
	if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) || conn.IsClosed() {
		return fmt.Errorf("wait for an announcement: %w", err)
	}
	asking, stop := context.WithTimeout(ctx, pingLimit)
	defer stop()
	return wrap("ask whether the connection lives", conn.Ping(asking))
}

func (l *listener) signal() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Changed implements store.Ledger.
func (s *Store) Changed() <-chan struct{} { return s.listener.changed }
