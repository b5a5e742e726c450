package gateway

import "time"

// Stats is a snapshot for gauges and counters.
type Stats struct {
	Apps []AppStats
	// Queued counts rows of the durable queue, of all apps, also such as are not configured any more.
	Queued    int
	QueueFull bool
	// OldestAge is the age of the oldest row, for up to 30 s that of one which has just gone; 0 when there is none.
	OldestAge time.Duration
	// DedupEntries and LedgerEntries are the sizes of the two memories.
	DedupEntries  int
	LedgerEntries int
	Account       Account
}

// AppStats is the state of one configured app.
type AppStats struct {
	App      string // the configured pattern
	Kind     string
	InFlight int // requests at the provider
	Waiting  int // callers' devices that wait for a free slot
	Queued   int // rows of the durable queue
	// OldestAge as in Stats.
	OldestAge time.Duration
	// Breaker is closed, half-open or open.
	Breaker string
	// Paused is true while a configuration fault stops the app; PauseReason is the provider's word for it.
	Paused      bool
	PauseReason string
	// CertificateExpires and TokenIssued are the age of the credentials; zero when there are none.
	CertificateExpires time.Time
	TokenIssued        time.Time
}

// Account counts, for this process, every device that the gateway answered for. At any moment without a request under
// way: Accepted + TakenOver = Delivered + Rejected + DeadLettered + Expired + Pending + HandedOver.
type Account struct {
	Accepted     uint64 // devices this process took responsibility for
	TakenOver    uint64 // rows found in the store at start, or claimed from what other nodes share
	Delivered    uint64
	Rejected     uint64
	DeadLettered uint64
	Expired      uint64 // past their deadline, and badge updates that a newer one made superfluous
	HandedOver   uint64 // left to the nodes that share the database; always 0 when none can
	Pending      int64  // rows this process still answers for
	// Superseded is the part of Expired that are badge updates replaced by newer ones.
	Superseded uint64
	// Suppressed and Refused are outside the equation: repeats that an earlier copy answers, and devices answered 503.
	Suppressed uint64
	Refused    uint64
}

// Stats returns gauges and counters as of now. It reads memory only.
func (g *Gateway) Stats() Stats {
	now := time.Now()
	total, full, rows := g.backlog.look()
	s := Stats{
		Queued: total, QueueFull: full, OldestAge: 0,
		DedupEntries: g.recall.size(), LedgerEntries: int(g.dead.size.Load()), Account: g.account.snapshot(),
	}
	age := func(oldest time.Time) time.Duration {
		if oldest.IsZero() {
			return 0
		}
		return max(now.Sub(oldest), 0)
	}
	for _, a := range rows {
		s.OldestAge = max(s.OldestAge, age(a.oldest))
	}
	for _, l := range g.routes.Load().lanes {
		b := l.binding.Load()
		used, waiting := l.slots.counts()
		breaker, reason := l.gate.state()
		credential := b.Provider.Credential()
		s.Apps = append(s.Apps, AppStats{
			App: string(l.name), Kind: b.Kind, InFlight: used, Waiting: waiting,
			Queued: rows[l.name].rows, OldestAge: age(rows[l.name].oldest),
			Breaker: breaker, Paused: reason != "", PauseReason: reason,
			CertificateExpires: credential.CertificateExpires, TokenIssued: credential.TokenIssued,
		})
	}
	return s
}
