package storetest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store"
)

const (
	benchApp   = push.AppID("com.example.bench")
	benchBatch = 100
)

// benchPayload is about what an encrypted notification takes.
const benchPayload = 2048

// Bench measures the queue of an empty store: rows per second in batches of 100, each batch one durable commit.
func Bench(b *testing.B, open func(b *testing.B) store.Store) {
	b.Run("enqueue", func(b *testing.B) {
		s := open(b)
		batches := batchesFor(b)
		start := time.Now()
		for _, rows := range batches {
			enqueueBench(b, s, rows)
		}
		report(b, start, len(batches)*benchBatch)
	})
	b.Run("claim_settle", func(b *testing.B) {
		s := open(b)
		batches := batchesFor(b)
		for _, rows := range batches {
			enqueueBench(b, s, rows)
		}
		b.ResetTimer()
		start := time.Now()
		drain(b, s, len(batches))
		report(b, start, len(batches)*benchBatch)
	})
	for _, backlog := range []int{1_000, 100_000} {
		name := map[int]string{1_000: "over_1k", 100_000: "over_100k"}[backlog]
		b.Run("claim_settle_"+name, func(b *testing.B) {
			s := open(b)
			batches := (b.N + benchBatch - 1) / benchBatch
			for i := 0; i < backlog+batches*benchBatch; i += 1000 {
				enqueueBench(b, s, benchRows(1000))
			}
			b.ResetTimer()
			start := time.Now()
			drain(b, s, batches)
			report(b, start, batches*benchBatch)
		})
		b.Run("cycle_"+name, func(b *testing.B) {
			s := open(b)
			for i := 0; i < backlog; i += 1000 {
				enqueueBench(b, s, benchRows(1000))
			}
			batches := batchesFor(b)
			b.ResetTimer()
			start := time.Now()
			for _, rows := range batches {
				enqueueBench(b, s, rows)
				drain(b, s, 1)
			}
			report(b, start, len(batches)*benchBatch)
		})
	}
	b.Run("enqueue_single_parallel", func(b *testing.B) {
		s := open(b)
		start := time.Now()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				enqueueBench(b, s, benchRows(1))
			}
		})
		report(b, start, b.N)
	})
}

func batchesFor(b *testing.B) [][]push.Queued {
	b.Helper()
	batches := make([][]push.Queued, (b.N+benchBatch-1)/benchBatch)
	for i := range batches {
		batches[i] = benchRows(benchBatch)
	}
	b.ResetTimer()
	return batches
}

func report(b *testing.B, start time.Time, rows int) {
	b.Helper()
	b.ReportMetric(float64(rows)/time.Since(start).Seconds(), "rows/s")
}

func benchRows(n int) []push.Queued {
	rows := make([]push.Queued, n)
	now := time.Now()
	for i := range rows {
		payload := make([]byte, benchPayload)
		binary.BigEndian.PutUint64(payload, uint64(i))
		rows[i] = push.Queued{
			AppID: benchApp, Device: randomHash(), Dedup: randomHash(), Payload: payload,
			Accepted: now, Due: now, Deadline: now.Add(24 * time.Hour),
		}
	}
	return rows
}

func randomHash() push.Hash {
	var h push.Hash
	_, _ = rand.Read(h[:])
	return h
}

func enqueueBench(b *testing.B, s store.Store, rows []push.Queued) {
	b.Helper()
	out, err := s.Enqueue(context.Background(), rows, 0)
	require.NoError(b, err)
	require.Len(b, out, len(rows))
}

// drain claims and settles batches.
func drain(b *testing.B, s store.Store, batches int) {
	b.Helper()
	for range batches {
		rows, err := s.Claim(context.Background(), benchApp, benchBatch, time.Minute)
		require.NoError(b, err)
		require.Len(b, rows, benchBatch)
		done := make([]push.Settlement, len(rows))
		for i, r := range rows {
			done[i] = push.Settlement{Held: push.Held{ID: r.ID, Lease: r.Lease}}
		}
		ok, err := s.Settle(context.Background(), done)
		require.NoError(b, err)
		require.NotContains(b, ok, false)
	}
}
