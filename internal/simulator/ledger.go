package simulator

import (
	"context"
	"sync"
)

const chunkSize = 1024

// ledger is the log of receipts: chunks, so that it neither copies when it grows nor when it forgets.
type ledger struct {
	keep  int // Options.KeepReceipts
	brief bool

	mu        sync.Mutex
	chunks    [][]Receipt
	first     uint64 // Seq of chunks[0][0]
	seq       uint64
	delivered uint64
	changed   chan struct{} // closed by the next entry; nil while nobody waits
}

func newLedger(keep int, brief bool) *ledger { return &ledger{keep: keep, brief: brief, first: 1} }

// add enters a receipt and numbers it. What it holds by reference must stay unchanged.
func (l *ledger) add(r *Receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	r.Seq = l.seq
	if r.Delivered {
		l.delivered++
	}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	if l.keep < 0 {
		return
	}
	last := len(l.chunks) - 1
	if last < 0 || len(l.chunks[last]) == chunkSize {
		if l.chunks == nil {
			l.first = r.Seq
		}
		l.chunks = append(l.chunks, make([]Receipt, 0, chunkSize))
		last++
	}
	entry := *r
	if l.brief {
		entry.Header, entry.Payload = nil, nil
	}
	l.chunks[last] = append(l.chunks[last], entry)
	for l.keep > 0 && l.stored()-len(l.chunks[0]) >= l.keep {
		l.chunks = l.chunks[1:]
		l.first += chunkSize
	}
}

func (l *ledger) stored() int {
	if len(l.chunks) == 0 {
		return 0
	}
	return (len(l.chunks)-1)*chunkSize + len(l.chunks[len(l.chunks)-1])
}

// since returns at most limit receipts above seq; limit 0 is no limit.
func (l *ledger) since(seq uint64, limit int) []Receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.stored()
	skip := 0
	if l.keep > 0 {
		skip = max(0, n-l.keep)
	}
	if seq >= l.first {
		skip = max(skip, int(min(seq-l.first+1, uint64(n))))
	}
	count := n - skip
	if limit > 0 {
		count = min(count, limit)
	}
	out := make([]Receipt, 0, count)
	for i := skip; len(out) < count; {
		chunk := l.chunks[i/chunkSize][i%chunkSize:]
		chunk = chunk[:min(len(chunk), count-len(out))]
		out = append(out, chunk...)
		i += len(chunk)
	}
	return out
}

// counts are all receipts and the delivered ones since the last clear.
func (l *ledger) counts() (seq, delivered uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seq, l.delivered
}

// wait returns when enough says so of (receipts, delivered).
func (l *ledger) wait(ctx context.Context, enough func(seq, delivered uint64) bool) error {
	for {
		l.mu.Lock()
		ok := enough(l.seq, l.delivered)
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// clear forgets everything; numbering starts again.
func (l *ledger) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.chunks, l.first, l.seq, l.delivered = nil, 1, 0, 0
}
