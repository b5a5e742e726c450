package harness

import (
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/simulator"
)

// Sim is a simulator in a process of its own.
type Sim struct {
	*simulator.Client
	Proc *Process
	Info struct {
		APNs        string                `json:"apns"`
		FCM         string                `json:"fcm"`
		WebPush     string                `json:"webpush"`
		Control     string                `json:"control"`
		Credentials simulator.Credentials `json:"credentials"`
	}
}

// StartSim starts a simulator that says nothing but where it is. args are further flags of `pushgate simulate`.
func StartSim(t testing.TB, args ...string) *Sim {
	t.Helper()
	r, w := io.Pipe()
	s := &Sim{Proc: Start(t, w, nil, append([]string{"simulate", "-quiet", "-dir", t.TempDir()}, args...)...)}
	require.NoError(t, json.NewDecoder(r).Decode(&s.Info))
	go func() { _, _ = io.Copy(io.Discard, r) }()
	s.Client = simulator.NewClient(s.Info.Control)
	t.Cleanup(s.Close)
	return s
}

// Delivered returns the receipts once n notifications were delivered.
func (s *Sim) Delivered(t testing.TB, n uint64) []simulator.Receipt {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	require.NoError(t, s.WaitDelivered(ctx, n))
	return s.Log(t)
}

// Log returns all receipts.
func (s *Sim) Log(t testing.TB) []simulator.Receipt {
	t.Helper()
	return s.LogSince(t, 0)
}

// LogSince returns the receipts above a sequence number.
func (s *Sim) LogSince(t testing.TB, since uint64) []simulator.Receipt {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var all []simulator.Receipt
	require.NoError(t, s.Receipts(ctx, since, false, func(r simulator.Receipt) error { all = append(all, r); return nil }))
	return all
}
