package webpush

import (
	"crypto/sha256"
	"slices"
	"sync"
)

// blame says whom a 401 is about.
type blame uint8

const (
	blameSubscription blame = iota // this device only
	blameNobody                    // not known yet: try later
	blameKey                       // our credentials: the app
)

// suspicious is how many subscriptions must have answered 401, and none have accepted anything, before the key is wrong.
// One proves nothing: Mozilla answers 401 to a subscription that was made for another key, and anybody can register one.
const suspicious = 3

// proof is what known push services have said about our key since the start. Its zero value has heard nothing.
type proof struct {
	mu       sync.Mutex
	accepted bool
	refused  [][sha256.Size]byte // endpoints that answered 401, at most suspicious; until the key was accepted
}

// accept notes that a service has taken a message signed with this key.
func (p *proof) accept() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accepted, p.refused = true, nil
}

// refuse notes a 401 and says whom it is about. Once the key was accepted it can only be the subscription.
func (p *proof) refuse(endpoint string) blame {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.accepted {
		return blameSubscription
	}
	sum := sha256.Sum256([]byte(endpoint))
	if len(p.refused) < suspicious && !slices.Contains(p.refused, sum) {
		p.refused = append(p.refused, sum)
	}
	if len(p.refused) < suspicious {
		return blameNobody
	}
	return blameKey
}
