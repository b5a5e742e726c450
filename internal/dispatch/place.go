package dispatch

import "github.com/pushgate/pushgate/internal/push"

// pool is a kind of gateways that compete for places with each other only: those that hang, or take their time, take none
// from one that is known to answer.
type pool uint8

const (
	poolGood pool = iota
	poolNew       // never asked, or not for long
	poolSlow
	poolFailing
)

// batches is how many of a pool are under way, in each realm.
func (p pool) batches() int {
	if p == poolGood {
		return 64
	}
	return 32
}

// hostBatches is how many of them belong to one host: whoever registers pushers chooses the gateways, and one host can be
// any number of them.
const hostBatches = 2 * laneBatches

// place is what a batch takes one of.
type place struct {
	realm push.Realm
	pool  pool
	host  string
}

// all is the place of the whole pool.
func (p place) all() place { return place{realm: p.realm, pool: p.pool} }

// places counts the batches under way.
type places map[place]int

// take takes a place, if there is one.
func (t places) take(p place) bool {
	if t[p] >= hostBatches || t[p.all()] >= p.pool.batches() {
		return false
	}
	t[p]++
	t[p.all()]++
	return true
}

func (t places) leave(p place) {
	for _, p := range []place{p, p.all()} {
		if t[p]--; t[p] == 0 {
			delete(t, p)
		}
	}
}
