package simulator

import (
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestGate_HoldsBothDirections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		g := newGate(near)
		defer g.Close()
		g.freeze()
		g.freeze()
		got := make(chan string, 2)
		go func() {
			buf := make([]byte, 3)
			n, _ := io.ReadFull(g, buf)
			got <- string(buf[:n])
		}()
		_, err := far.Write([]byte("in!")) // the kernel takes it, as on a path that went away behind it
		require.NoError(t, err)
		go func() { _, _ = g.Write([]byte("out")) }()
		go func() {
			buf := make([]byte, 3)
			n, _ := io.ReadFull(far, buf)
			got <- string(buf[:n])
		}()
		synctest.Wait()
		require.Empty(t, got)
		g.thaw()
		g.thaw()
		require.ElementsMatch(t, []string{"in!", "out"}, []string{<-got, <-got})
	})
}

func TestGate_CloseReleases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		g := newGate(near)
		g.freeze()
		failed := make(chan error, 1)
		go func() {
			_, err := g.Write([]byte("x"))
			failed <- err
		}()
		synctest.Wait()
		require.Empty(t, failed)
		require.NoError(t, g.Close())
		require.ErrorIs(t, <-failed, net.ErrClosed)
		_ = g.Close()
	})
}
