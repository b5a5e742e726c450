package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/push"
)

// instantProvider costs nothing, so that a benchmark shows the gateway alone.
type instantProvider struct{ outcome push.Outcome }

func (p instantProvider) Send(context.Context, push.Notification, push.Hash) (push.Outcome, error) {
	return p.outcome, nil
}
func (instantProvider) Warm(context.Context) error      { return nil }
func (instantProvider) Credential() provider.Credential { return provider.Credential{} }
func (instantProvider) Close() error                    { return nil }

// cheapHasher leaves the cost of HMAC out: it belongs to the store.
type cheapHasher struct{}

func (cheapHasher) Hash(purpose string, parts ...string) push.Hash {
	var h push.Hash
	h[0] = purpose[0]
	for _, p := range parts {
		for i := range len(p) {
			h[i%16] = h[i%16]*31 + p[i]
		}
	}
	return h
}

func benchGateway(b *testing.B, apps int) *Gateway {
	b.Helper()
	node := newFakeStore().own()
	list := []App{{Pattern: theApp, Provider: instantProvider{push.Outcome{Verdict: push.Delivered, Reason: "ok"}}, Kind: "apns"}}
	for i := range apps - 1 {
		list = append(list, App{Pattern: fmt.Sprintf("com.example.app%d", i), Provider: instantProvider{}, Kind: "apns"})
	}
	g, err := New(Options{Config: DefaultConfig(), Apps: list, Queue: node, Ledger: node, Hasher: cheapHasher{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = g.Stop(context.Background()) })
	return g
}

func BenchmarkDeliver(b *testing.B) {
	for _, apps := range []int{1, 10_000} {
		for _, devices := range []int{1, 10, 100} {
			b.Run(fmt.Sprintf("apps=%d/devices=%d", apps, devices), func(b *testing.B) {
				g := benchGateway(b, apps)
				batch := make([]push.Notification, devices)
				n := 0
				b.ReportAllocs()
				for b.Loop() {
					n++
					for i := range batch {
						batch[i] = event("pushkey", strconv.Itoa(n*devices+i))
					}
					if _, err := g.Deliver(context.Background(), push.Caller{}, batch); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*devices), "ns/device")
			})
		}
	}
}

func BenchmarkDeliverParallel(b *testing.B) {
	g := benchGateway(b, 1)
	var ids atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := event("pushkey", strconv.FormatInt(ids.Add(1), 10))
			if _, err := g.Deliver(context.Background(), push.Caller{}, []push.Notification{n}); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkDeliverKnown(b *testing.B) {
	g := benchGateway(b, 1)
	dead := push.Notification{Device: push.Device{AppID: theApp, Pushkey: "dead", PushkeyTS: 1}, Event: &push.Event{ID: push.NewText("$e")}}
	for i := range 1_000_000 {
		g.dead.put(push.DeadKey{Device: hashOf(i), Since: time.Now(), Recorded: time.Now()})
	}
	g.dead.put(push.DeadKey{Device: g.DeviceHash(theApp, "dead"), Since: time.Now(), Recorded: time.Now()})
	repeat := event("repeat", "$e")
	for name, n := range map[string]push.Notification{"dead": dead, "repeat": repeat} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Deliver(context.Background(), push.Caller{}, []push.Notification{n}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
