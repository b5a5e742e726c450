package simulator

import (
	"sync"
	"sync/atomic"
)

// scripts holds the answers scripted for one service.
type scripts struct {
	any     atomic.Bool // false while there is nothing: the common case takes no lock
	mu      sync.Mutex
	byToken map[string][]Answer
}

// set replaces what is scripted for a token.
func (s *scripts) set(token string, answers []Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byToken == nil {
		s.byToken = map[string][]Answer{}
	}
	if len(answers) == 0 {
		delete(s.byToken, token)
	} else {
		s.byToken[token] = append([]Answer(nil), answers...)
	}
	s.any.Store(len(s.byToken) > 0)
}

func (s *scripts) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byToken = nil
	s.any.Store(false)
}

// next takes the next answer for a token, its own before that for any.
func (s *scripts) next(token string) (Answer, bool) {
	if !s.any.Load() {
		return Answer{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range [...]string{token, AnyToken} {
		queue := s.byToken[key]
		if len(queue) == 0 {
			continue
		}
		a := queue[0]
		switch {
		case a.Times < 0:
		case a.Times > 1:
			queue[0].Times--
		case len(queue) == 1:
			delete(s.byToken, key)
			s.any.Store(len(s.byToken) > 0)
		default:
			s.byToken[key] = queue[1:]
		}
		return a, true
	}
	return Answer{}, false
}
