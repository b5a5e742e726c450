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
		var ran []time.Duration
		waits := rand.Perm(500)
		for _, ms := range waits {
			wait := time.Duration(ms) * time.Millisecond
			d.after(wait, func() {
				require.Equal(t, wait, time.Since(start))
				ran = append(ran, wait)
			})
		}
		time.Sleep(200*time.Millisecond + time.Microsecond)
		synctest.Wait()
		require.Len(t, ran, 201)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, ran, 500)
		require.True(t, slices.IsSorted(ran))
	})
}

func TestDelayer_AnEarlierOneOvertakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDelayer()
		defer d.stop()
		var ran []string
		d.after(3*time.Hour, func() { ran = append(ran, "late") })
		synctest.Wait()
		d.after(time.Minute, func() {
			ran = append(ran, "early")
			d.after(time.Second, func() { ran = append(ran, "from inside") })
		})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"early", "from inside"}, ran)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		require.Equal(t, []string{"early", "from inside", "late"}, ran)
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
