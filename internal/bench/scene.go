package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	sceneBatch   = 100
	sceneWorkers = 8
	sceneTimeout = 3 * time.Minute
)

// set puts a scene up before anything is measured, and returns how to take it down.
func (r *rig) set(ctx context.Context, gw *child, s scene) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, sceneTimeout)
	defer cancel()
	if err := r.fill(ctx, gw, s.dead, func(n int64) string {
		return fmt.Sprintf(`{"app_id":"com.example.app.ios","pushkey":"%s%060x","pushkey_ts":1000000000}`, deadPrefix, n)
	}); err != nil {
		return nil, fmt.Errorf("dead pushkeys: %w", err)
	}
	if err := r.fill(ctx, gw, s.queued, func(n int64) string {
		return fmt.Sprintf(`{"app_id":"com.example.refused","pushkey":"%s"}`, deviceToken(n))
	}); err != nil {
		return nil, fmt.Errorf("queued rows: %w", err)
	}
	return r.idlers(gw, s.idle)
}

// fill sends n notifications in batches, each to a device of its own.
func (r *rig) fill(ctx context.Context, gw *child, n int, device func(int64) string) error {
	var seq atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range sceneWorkers {
		all.Go(func() {
			for ctx.Err() == nil && failed.Load() == nil {
				i := seq.Add(1)
				if i > int64(n/sceneBatch) {
					return
				}
				w := workload{path: pathEncrypted, batch: sceneBatch, body: func(w workload, seq int64) string {
					return items(w, seq, func(n int64) string { return sealed(n, device(n)) })
				}}
				if err := gw.callers.post(w, i); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return ctx.Err()
}

// idlers opens connections, says hello on each, and leaves them open.
func (r *rig) idlers(gw *child, n int) (func(), error) {
	host := strings.TrimPrefix(gw.url, "http://")
	var conns []net.Conn
	done := func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}
	for range n {
		c, err := net.Dial("tcp", host)
		if err != nil {
			return done, fmt.Errorf("idle callers: %w", err)
		}
		conns = append(conns, c)
		if _, err := c.Write([]byte("GET /health HTTP/1.1\r\nHost: bench\r\n\r\n")); err != nil {
			return done, fmt.Errorf("idle callers: %w", err)
		}
		if m, err := c.Read(make([]byte, 512)); err != nil || m == 0 {
			return done, errors.New("idle callers: no answer")
		}
	}
	return done, nil
}
