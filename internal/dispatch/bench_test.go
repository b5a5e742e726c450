package dispatch

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/monthkey"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// benchStore hands out rows from memory and forgets what is settled: what is measured is the dispatcher.
type benchStore struct {
	Store
	device  Device
	payload []byte
	left    int
	done    chan struct{}
	last    int64
}

func (s *benchStore) Submit(_ context.Context, sub Submission) (Submitted, error) {
	p, err := sub.Plan([]Device{s.device})
	return Submitted{Receipt: p.Receipt}, err
}

func (s *benchStore) Gateways(context.Context) ([]Waiting, error) {
	return []Waiting{{Gateway: gatewayOf(s.device.Pusher), Rows: s.left, Next: time.Now()}}, nil
}

// Claim is called by one batch of a gateway at a time.
func (s *benchStore) Claim(_ context.Context, _ Gateway, limit int, _ time.Duration) (Claimed, error) {
	n := min(limit, s.left)
	s.left -= n
	out := Claimed{At: time.Now(), Rows: make([]Row, n)}
	for i := range out.Rows {
		s.last++
		out.Rows[i] = Row{Held: push.Held{ID: s.last, Lease: 1}, Pusher: s.device.Pusher, Payload: s.payload, Deadline: time.Now().Add(time.Hour)}
	}
	return out, nil
}

func (s *benchStore) Settle(_ context.Context, done []Settlement) ([]bool, error) {
	ours := make([]bool, len(done))
	for i := range ours {
		ours[i] = true
	}
	for range done {
		s.done <- struct{}{}
	}
	return ours, nil
}

func (s *benchStore) RemoveRejected(context.Context, pusher.Rejected) (int, error) { return 0, nil }

func (s *benchStore) Hash(string, ...string) push.Hash { return push.Hash{1} }

// takes is a Caller that takes everything.
type takes struct{ Caller }

func (takes) Sealed(_ context.Context, _ string, items []Item) ([]Result, error) {
	out := make([]Result, len(items))
	for i, it := range items {
		out[i] = Result{ID: it.ID, Status: ResultSuccess}
	}
	return out, nil
}

func newBench(b *testing.B, rows int) (*Dispatcher, *benchStore) {
	b.Helper()
	iss, err := monthkey.ParseISS(strings.Repeat("ab", 32))
	require.NoError(b, err)
	g, err := monthkey.Derive(iss, monthkey.MonthOf(time.Now(), time.UTC))
	require.NoError(b, err)
	s := &benchStore{left: rows, done: make(chan struct{}, 1<<16), device: Device{
		Encrypted: true, Choices: map[string]pusher.ChannelStatus{"c": pusher.ChannelEnabled},
		Pusher: pusher.Pusher{
			Key: pusher.Key{Owner: push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X"}, AppID: "app", Pushkey: push.Pushkey(strings.Repeat("a", 64))},
			URL: "https://a.example.com/push/v1/", Data: push.Object(`{"url":"https://a.example.com/push/v1/"}`),
			Encryption: &pusher.Encryption{KeyID: push.NewText("kid"), Generation: g},
		},
	}}
	s.payload = letter{id: newID(), channel: "c", message: []byte(`{"ChannelId":"c","Message":"hello"}`)}.encode()
	fd := pusher.DefaultFachdienstConfig()
	fd.Channels = []pusher.ChannelConfig{{ID: "c"}}
	d, err := New(Options{Store: s, Remover: s, Hasher: s, Caller: takes{}, Fachdienst: fd, Location: time.UTC, MaxQueued: 1 << 40})
	require.NoError(b, err)
	b.Cleanup(func() { _ = d.Stop(context.Background()) })
	return d, s
}

// BenchmarkIngest is one event for one device, without the store's transaction.
func BenchmarkIngest(b *testing.B) {
	d, _ := newBench(b, 0)
	n := Notice{Owner: push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X"}, Channel: "c", Payload: push.Object(`{"Identifier":"160.000.226.545.733.51","Message":"A new prescription is ready."}`)}
	from := Sender{Channels: []string{"*"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Submit(context.Background(), from, n); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSeal is what one row costs between claim and call: letter, wishes, frame, AES-GCM, Base64.
func BenchmarkSeal(b *testing.B) {
	d, s := newBench(b, 0)
	rows := []Row{{Pusher: s.device.Pusher, Payload: s.payload}}
	b.ReportAllocs()
	for b.Loop() {
		parcels, err := d.pack(context.Background(), rows, time.Now())
		if err != nil || parcels[0].item.Sealed == nil {
			b.Fatal("not sealed")
		}
	}
}

// BenchmarkDrain sends a backlog through a gateway that answers at once: the rate must not depend on its size.
func BenchmarkDrain(b *testing.B) {
	for _, rows := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			var took time.Duration
			for b.Loop() {
				d, s := newBench(b, rows)
				began := time.Now()
				require.NoError(b, d.Start())
				for range rows {
					<-s.done
				}
				took += time.Since(began)
				require.NoError(b, d.Stop(context.Background()))
			}
			b.ReportMetric(float64(rows)*float64(b.N)/took.Seconds(), "rows/s")
		})
	}
}
