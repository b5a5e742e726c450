package apns

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/simulator"
)

// The simulator shares the processor with what is measured: compare the two benchmarks, not with anything else.

func BenchmarkSend(b *testing.B) {
	r := newRig(b, simulator.Options{KeepReceipts: -1}, Options{}, nil)
	n := sealedNotification()
	n.Device.Pushkey = push.Pushkey(newToken())
	_, err := r.Send(b.Context(), n, push.Hash{1})
	require.NoError(b, err)
	b.ReportAllocs()
	b.SetParallelism(50)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			out, err := r.Send(b.Context(), n, push.Hash{1})
			if err != nil || out.Verdict != push.Delivered {
				b.Errorf("%+v %v", out, err)
				return
			}
		}
	})
}

// BenchmarkBareSDK is the limit: apns2 alone, with the same payload.
func BenchmarkBareSDK(b *testing.B) {
	r := startSimulator(b, simulator.Options{KeepReceipts: -1})
	key, err := token.AuthKeyFromFile(r.creds.APNsKeyFile)
	require.NoError(b, err)
	ca, err := os.ReadFile(r.creds.CAFile)
	require.NoError(b, err)
	roots := x509.NewCertPool()
	require.True(b, roots.AppendCertsFromPEM(ca))
	client := apns2.NewTokenClient(&token.Token{AuthKey: key, KeyID: r.creds.APNsKeyID, TeamID: r.creds.APNsTeamID})
	client.Host = r.sim.APNsURL()
	//nolint:staticcheck // deprecated as it is, it is how apns2 is made
	client.HTTPClient.Transport.(*http2.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	p := newPayloads(DefaultConfig(), true)
	payload, _ := p.build(nil, sealedNotification())
	n := &apns2.Notification{DeviceToken: newToken(), Topic: testTopic, Payload: payload, Priority: 10}
	_, err = client.Push(n)
	require.NoError(b, err)
	b.ReportAllocs()
	b.SetParallelism(50)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			res, err := client.PushWithContext(b.Context(), n)
			if err != nil || !res.Sent() {
				b.Errorf("%+v %v", res, err)
				return
			}
		}
	})
	b.StopTimer()
	client.CloseIdleConnections()
}
