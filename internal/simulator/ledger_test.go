package simulator

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func fill(l *ledger, n int) {
	for range n {
		l.add(&Receipt{Token: "t", Delivered: true, Payload: []byte("p"), Header: map[string]string{"a": "b"}})
	}
}

func seqs(receipts []Receipt) (first, last uint64, n int) {
	if len(receipts) == 0 {
		return 0, 0, 0
	}
	return receipts[0].Seq, receipts[len(receipts)-1].Seq, len(receipts)
}

func TestLedger_Since(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keep, entries int
		since         uint64
		limit         int
		first, last   uint64
		n             int
	}{
		"all":                        {0, 3000, 0, 0, 1, 3000, 3000},
		"above":                      {0, 3000, 1024, 0, 1025, 3000, 1976},
		"a page over a chunk's edge": {0, 3000, 1020, 10, 1021, 1030, 10},
		"nothing new":                {0, 3000, 3000, 0, 0, 0, 0},
		"beyond":                     {0, 3000, 9999, 0, 0, 0, 0},
		"empty":                      {0, 0, 0, 0, 0, 0, 0},
		"the newest":                 {10, 3000, 0, 0, 2991, 3000, 10},
		"the newest, all forgotten":  {10, 3000, 5, 0, 2991, 3000, 10},
		"the newest, above":          {10, 3000, 2995, 0, 2996, 3000, 5},
		"fewer than kept":            {5000, 3000, 0, 0, 1, 3000, 3000},
		"none kept":                  {-1, 3000, 0, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(c.keep, false)
			fill(l, c.entries)
			got := l.since(c.since, c.limit)
			first, last, n := seqs(got)
			require.Equal(t, [3]uint64{c.first, c.last, uint64(c.n)}, [3]uint64{first, last, uint64(n)})
			for i := 1; i < len(got); i++ {
				require.Equal(t, got[i-1].Seq+1, got[i].Seq)
			}
			seq, delivered := l.counts()
			require.EqualValues(t, c.entries, seq)
			require.EqualValues(t, c.entries, delivered)
		})
	}
}

func TestLedger_IsBounded(t *testing.T) {
	t.Parallel()
	l := newLedger(100, false)
	for range 50 {
		fill(l, chunkSize)
		require.LessOrEqual(t, l.stored(), 100+chunkSize)
	}
}

func TestLedger_Brief(t *testing.T) {
	t.Parallel()
	l := newLedger(0, true)
	r := &Receipt{Payload: []byte("p"), Header: map[string]string{"a": "b"}, Size: 1}
	l.add(r)
	require.Equal(t, []Receipt{{Seq: 1, Size: 1}}, l.since(0, 0))
	require.NotNil(t, r.Payload, "the caller's receipt is left alone")
}

func TestLedger_ClearStartsAnew(t *testing.T) {
	t.Parallel()
	l := newLedger(0, false)
	fill(l, 1500)
	l.clear()
	require.Empty(t, l.since(0, 0))
	fill(l, 2)
	first, last, _ := seqs(l.since(0, 0))
	require.Equal(t, [2]uint64{1, 2}, [2]uint64{first, last})
}

func TestLedger_Wait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(-1, false)
		done := make(chan error, 1)
		go func() {
			done <- l.wait(context.Background(), func(seq, delivered uint64) bool { return seq >= 3 && delivered >= 2 })
		}()
		for range 2 {
			fill(l, 1)
			synctest.Wait()
			require.Empty(t, done)
		}
		l.add(&Receipt{})
		synctest.Wait()
		require.NoError(t, <-done)

		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		require.ErrorIs(t, l.wait(ctx, func(uint64, uint64) bool { return false }), context.Canceled)
	})
}
