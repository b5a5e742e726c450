package simulator

import "maps"

// Stats are counts since the start or Reset.
type Stats struct {
	Receipts  uint64                   `json:"receipts"`
	Delivered uint64                   `json:"delivered"`
	Services  map[Service]ServiceStats `json:"services"`
}

// ServiceStats are the counts of one service.
type ServiceStats struct {
	ConnectionsOpen    int   `json:"connections_open"`    // now
	ConnectionsOpened  int64 `json:"connections_opened"`  // accepted
	ConnectionsRefused int64 `json:"connections_refused"` // reset by an outage right after they were accepted
	HandshakesFailed   int64 `json:"handshakes_failed"`

	Requests       int64 `json:"requests"`
	StreamsOpen    int64 `json:"streams_open"`     // now
	MaxStreams     int64 `json:"max_streams"`      // most at a time, over all connections
	MaxStreamsConn int64 `json:"max_streams_conn"` // most at a time on one connection
	StreamsRefused int64 `json:"streams_refused"`  // over the stream limit
	Cancelled      int64 `json:"cancelled"`        // reset by the caller
	Pings          int64 `json:"pings"`
	Priorities     int64 `json:"priorities"` // PRIORITY frames, which APNs ignores

	// Answers counts by status and reason: "200", "410 Unregistered", or a fault: "hang".
	Answers map[string]int64 `json:"answers"`
}

// Stats counts what happened so far.
func (s *Simulator) Stats() Stats {
	out := Stats{Services: map[Service]ServiceStats{}}
	out.Receipts, out.Delivered = s.ledger.counts()
	for name, svc := range s.services {
		out.Services[name] = svc.stats()
	}
	return out
}

// healthyStatus is what the service answers when all is well.
func (s *service) healthyStatus() string {
	if s.name == WebPush {
		return "201"
	}
	return "200"
}

func (s *service) stats() ServiceStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := ServiceStats{
		ConnectionsOpen: len(s.conns), ConnectionsOpened: s.opened.Load(),
		ConnectionsRefused: s.refused.Load(), HandshakesFailed: s.handshakes.Load(),
		Requests: s.requests.Load(), StreamsOpen: s.frames.Streams.Load(), MaxStreams: s.frames.MaxStreams.Load(),
		MaxStreamsConn: s.frames.MaxPerConn.Load(), StreamsRefused: s.frames.Refused.Load(),
		Cancelled: s.frames.Cancelled.Load(), Pings: s.frames.Pings.Load(), Priorities: s.frames.Priorities.Load(),
		Answers: maps.Clone(s.answers),
	}
	if n := s.ok.Load(); n > 0 {
		out.Answers[s.healthyStatus()] += n
	}
	return out
}

// clearCounts starts counting anew; what is open stays counted.
func (s *service) clearCounts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = map[string]int64{}
	for _, n := range []interface{ Store(int64) }{
		&s.opened, &s.refused, &s.handshakes, &s.requests, &s.ok, &s.frames.MaxStreams, &s.frames.MaxPerConn,
		&s.frames.Refused, &s.frames.Cancelled, &s.frames.Pings, &s.frames.Priorities,
	} {
		n.Store(0)
	}
}
