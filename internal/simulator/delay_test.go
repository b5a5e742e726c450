package simulator

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDelayer_RunsInTimeAndInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDelayer()
		defer d.stop()
		start := time.Now()
		ran := make(chan time.Duration, 500)
		waits := rand.Perm(500)
		for _, ms := range waits {
			wait := time.Duration(ms) * time.Millisecond
			d.after(wait, func() {
				require.Equal(t, wait, time.Since(start))
				ran <- wait
			})
		}
		time.Sleep(200*time.Millisecond + time.Microsecond)
		synctest.Wait()
		require.Len(t, ran, 201)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, ran, 500)
		close(ran)
		require.True(t, slices.IsSorted(slices.Collect(func(yield func(time.Duration) bool) {
			for wait := range ran {
				yield(wait)
			}
		})))
	})
}

func TestDelayer_AnEarlierOneOvertakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDelayer()
		defer d.stop()
		ran := make(chan string, 3)
		d.after(3*time.Hour, func() { ran <- "late" })
		synctest.Wait()
		d.after(time.Minute, func() {
			ran <- "early"
			d.after(time.Second, func() { ran <- "from inside" })
		})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Len(t, ran, 2)
		require.Equal(t, "early", <-ran)
		require.Equal(t, "from inside", <-ran)
		time.Sleep(3 * time.Hour)
		require.Equal(t, "late", <-ran)
	})
}

func TestDelayer_StopDropsWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDelayer()
		d.after(time.Second, func() { t.Error("ran after stop") })
		d.stop()
		d.after(time.Second, func() { t.Error("ran after stop") })
		time.Sleep(time.Minute)
	})
}
