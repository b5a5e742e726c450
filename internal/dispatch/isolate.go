package dispatch

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/internal/push"
)

// samples is how many items are sent alone to find out whom a gateway refuses that refused a batch, and how many people
// it must have failed to be called broken. A gateway that refuses everything costs four calls, not two hundred.
const samples = 3

// sendBatch makes one call for items. When it fails in a way that one of them may be to blame for, the others are sent
// without it. Either way each row is settled once.
func (r *round) sendBatch(operation string, parcels []*parcel) {
	if r.down {
		r.giveBack(parcels)
		return
	}
	results, failure := r.call(operation, parcels)
	switch {
	case failure == nil:
		r.took(parcels, results)
	case !refusesItems(failure):
		r.failed(parcels, failure)
	case len(parcels) == 1:
		r.unlessBroken(parcels, nil, failure)
	default:
		r.isolate(operation, parcels)
	}
}

func (r *round) took(parcels []*parcel, results []Result) {
	r.d.gatewayAnswered(r.start.gateway)
	ruling := rule(results, parcels, r.at)
	for _, p := range parcels {
		r.settle(p.row, ruling.judge(p))
	}
}

// failed settles items whose gateway failed, whatever they are.
func (r *round) failed(parcels []*parcel, failure *CallError) {
	r.down = true
	r.d.gatewayFailed(r.start.gateway, failure)
	for _, p := range parcels {
		r.settle(p.row, verdict{reason: failure.Reason, whole: true})
	}
}

// refuse settles items that a gateway refused which takes others, or may.
func (r *round) refuse(parcels []*parcel, failure *CallError) {
	for _, p := range parcels {
		r.settle(p.row, verdict{reason: failure.Reason, refused: true})
	}
}

func (r *round) giveBack(parcels []*parcel) {
	for _, p := range parcels {
		r.settle(p.row, verdict{kind: verdictBack})
	}
}

// isolate sends a few items of a refused batch alone, of as many people as it can, until one is taken: then the others
// are worth their calls.
func (r *round) isolate(operation string, parcels []*parcel) {
	rest := spread(parcels)
	var refused []*parcel
	var failure *CallError
	for len(rest) > 0 && len(refused) < samples {
		var results []Result
		results, failure = r.call(operation, rest[:1])
		switch {
		case failure == nil:
			r.took(rest[:1], results)
			r.refuse(refused, &CallError{Reason: reasonRefused})
			r.halves(operation, byOwner(rest[1:]), strikesOf(refused))
			return
		case !refusesItems(failure):
			r.refuse(refused, &CallError{Reason: reasonRefused})
			r.failed(rest, failure)
			return
		}
		refused, rest = append(refused, rest[0]), rest[1:]
	}
	r.unlessBroken(refused, rest, failure)
}

// unlessBroken settles items that were refused alone, and the rest of their batch, of which none was taken. That is news
// of the gateway once it has refused several people, and never when it refused these items before: registrations that it
// does not take come again and again.
func (r *round) unlessBroken(refused, rest []*parcel, failure *CallError) {
	broken := false
	for _, p := range refused {
		broken = !p.refusedBefore() && r.d.doubt(r.start.gateway, p.row.Pusher.Key, failure) || broken
	}
	r.refuse(refused, failure)
	if broken {
		r.failed(rest, failure)
	} else {
		r.refuse(rest, failure)
	}
}

// halves sends the items of a batch that was refused by a gateway that takes others, in halves. Of a person of whom it
// refused several it is asked no more.
func (r *round) halves(operation string, parcels []*parcel, strikes map[push.Owner]int) {
	parcels = slices.DeleteFunc(parcels, func(p *parcel) bool {
		out := strikes[p.row.Pusher.Owner] >= samples
		if out {
			r.refuse([]*parcel{p}, &CallError{Reason: reasonRefused})
		}
		return out
	})
	switch {
	case len(parcels) == 0:
		return
	case r.down:
		r.giveBack(parcels)
		return
	}
	results, failure := r.call(operation, parcels)
	switch {
	case failure == nil:
		r.took(parcels, results)
	case !refusesItems(failure):
		r.failed(parcels, failure)
	case len(parcels) == 1:
		strikes[parcels[0].row.Pusher.Owner]++
		r.refuse(parcels, failure)
	default:
		half := len(parcels) / 2
		r.halves(operation, parcels[:half:half], strikes)
		r.halves(operation, parcels[half:], strikes)
	}
}

func strikesOf(refused []*parcel) map[push.Owner]int {
	strikes := map[push.Owner]int{}
	for _, p := range refused {
		strikes[p.row.Pusher.Owner]++
	}
	return strikes
}

// spread returns items in random order, but one of each person before the second of anybody.
func spread(parcels []*parcel) []*parcel {
	out := slices.Clone(parcels)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] }) //nolint:gosec // any order will do
	turn, turns := make(map[*parcel]int, len(out)), map[push.Owner]int{}
	for _, p := range out {
		turn[p] = turns[p.row.Pusher.Owner]
		turns[p.row.Pusher.Owner]++
	}
	slices.SortStableFunc(out, func(a, b *parcel) int { return turn[a] - turn[b] })
	return out
}

// byOwner puts the items of each person together, so that a half is either theirs or not.
func byOwner(parcels []*parcel) []*parcel {
	slices.SortStableFunc(parcels, func(a, b *parcel) int {
		return strings.Compare(a.row.Pusher.Owner.User.Reveal(), b.row.Pusher.Owner.User.Reveal())
	})
	return parcels
}
