package dispatch

import (
	"net/http"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// Reasons of verdicts, for metrics and logs.
const (
	reasonOK          = "ok"
	reasonRejected    = "rejected"
	reasonNewer       = "newer_counts"
	reasonGivenUp     = "given_up"
	reasonFailed      = "failed"
	reasonNoResult    = "no_result"
	reasonDamaged     = "damaged"
	reasonKey         = "key"
	reasonUnencrypted = "unencrypted"
	reasonGateway     = "gateway_not_allowed"
	reasonTooLarge    = "too_large"
	reasonNoCounts    = "no_counts"
	reasonRefused     = "refused"
	reasonRenewed     = "registered_again"
)

// verdict is what one attempt means for one row. The zero value says: try again.
type verdict struct {
	kind    verdictKind
	reason  string
	refused bool          // by a 4xx that is about this notification, or by a call for it alone
	whole   bool          // the call failed for all that it carried, which says little about this row
	after   time.Duration // at least, before it is tried again
	until   time.Time     // of verdictWait
	// dead are the pushers to remove.
	dead []pusher.Rejected
}

type verdictKind uint8

const (
	verdictAgain verdictKind = iota
	verdictDelivered
	verdictRejected // its own pushkey is dead
	verdictDropped  // it can never be delivered
	verdictBack     // not attempted: given back as it was
	verdictWait     // not attempted: its pusher rests
)

// brief is how many refusals a Matrix event gets before it is dropped: a 4xx will not mend, and must not stay for half a
// day (facts/matrix-pushers.md 2.5). By the usual ladder that is half a minute, in which a proxy says 404 for a gateway
// that is being replaced. The pusher stays.
const brief = 6

// ruling is what the results of one call mean for its items.
type ruling struct {
	status map[string]ResultStatus // by item id; the best of several
	// dead are the items whose own pushkey was rejected, by whichever result of the call.
	dead map[*parcel]bool
	// strangers are rejected pushkeys that are no item's, at the item whose result names them first.
	strangers map[*parcel][]push.Pushkey
	at        time.Time // the store's clock before the call
}

// maxStrangers bounds how many pushkeys of earlier notifications one answer may end, as many as a batch has items: each
// costs a transaction, and an answer of 1 MB has room for a hundred thousand.
const maxStrangers = MaxItems

// rule reads the results of a call by their ids. A result of no item's says nothing.
func rule(results []Result, call []*parcel, at time.Time) *ruling {
	r := &ruling{status: map[string]ResultStatus{}, dead: map[*parcel]bool{}, strangers: map[*parcel][]push.Pushkey{}, at: at}
	byID, byKey := map[string]*parcel{}, map[push.Pushkey][]*parcel{}
	for _, p := range call {
		byID[p.item.ID] = p
		byKey[p.row.Pusher.Pushkey] = append(byKey[p.row.Pusher.Pushkey], p)
	}
	strange := map[push.Pushkey]bool{"": true}
	for _, result := range results {
		p := byID[result.ID]
		if p == nil {
			continue
		}
		r.status[result.ID] = max(r.status[result.ID], result.Status)
		for _, key := range result.Rejected {
			switch others := byKey[key]; {
			case key == p.row.Pusher.Pushkey:
				r.dead[p] = true // another person's pusher with this pushkey has a result of its own
			case others != nil:
				for _, other := range others {
					r.dead[other] = true
				}
			case !strange[key] && len(strange) <= maxStrangers:
				strange[key] = true
				r.strangers[p] = append(r.strangers[p], key)
			}
		}
	}
	return r
}

// judge says what became of an item. A pushkey that was rejected for an earlier notification means all pushers that are
// sent through this gateway and were registered before the call.
func (r *ruling) judge(p *parcel) verdict {
	self := p.row.Pusher
	v := verdict{reason: reasonNoResult}
	switch status, answered := r.status[p.item.ID]; {
	case answered && status != ResultFailed:
		v.kind, v.reason = verdictDelivered, reasonOK
	case answered:
		v.reason = reasonFailed
	}
	for _, key := range r.strangers[p] {
		v.dead = append(v.dead, pusher.Rejected{Realm: self.Owner.Realm, Pushkey: key, URL: self.URL, Since: r.at})
	}
	if r.dead[p] {
		v.kind, v.reason, v.dead = verdictRejected, reasonRejected, append(v.dead, own(self))
	}
	return v
}

// judgeMatrix says what the answer to a Matrix notification means. Pushkeys that are not the one we sent to are ignored.
func judgeMatrix(p *parcel, rejected []push.Pushkey) verdict {
	if slices.Contains(rejected, p.row.Pusher.Pushkey) {
		return verdict{kind: verdictRejected, reason: reasonRejected, dead: []pusher.Rejected{own(p.row.Pusher)}}
	}
	return verdict{kind: verdictDelivered, reason: reasonOK}
}

// own is the rejection of exactly the registration that was sent to.
func own(p pusher.Pusher) pusher.Rejected {
	return pusher.Rejected{Realm: p.Owner.Realm, Pushkey: p.Pushkey, URL: p.URL, AppID: p.AppID, User: p.Owner.User, Since: p.Updated}
}

func isOwn(r pusher.Rejected, p pusher.Pusher) bool { return r == own(p) }

// refusesItems reports whether a failed call may be the fault of single items, so that the others are worth sending
// alone: one bad item must not hold up 99 good ones. 500 is what a gateway says that stumbled over one.
func refusesItems(e *CallError) bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusInternalServerError:
		return true
	default:
		return false
	}
}

// refusesEvent reports whether a Matrix gateway refused the event, not the caller's pace.
func refusesEvent(e *CallError) bool {
	return e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests && e.Status != http.StatusRequestTimeout
}

// witnesses is how many people's calls have to fail, and nobody's succeed, before a failure of one pusher's call is its
// gateway's: a gateway says 502 when it fails to reach one phone's provider. No answer is always the gateway's own, and
// of a pace that was asked of two all may hear.
func witnesses(e *CallError) int {
	switch {
	case e.Status == 0:
		return 1
	case e.RetryAfter > 0 || e.Status == http.StatusTooManyRequests:
		return 2
	default:
		return samples
	}
}

// restAfter is how long a pusher rests after its failures-th failed call in a row.
func (d *Dispatcher) restAfter(e *CallError) func(failures int) time.Duration {
	return func(failures int) time.Duration {
		if e.RetryAfter > 0 {
			return min(e.RetryAfter, maxRetryAfter)
		}
		return min(d.ladder.Delay(failures), d.pause)
	}
}

// pauseAfter is how long a gateway rests after a failed call, the failures-th in a row. What it asks for itself holds. A
// 5xx, and a 4xx that is about us, are for people to mend: 5 minutes. No answer follows the ladder, up to the same, and
// so do a Matrix gateway, whose 5xx may still be about others' phones, and one that has just begun to refuse items.
func (d *Dispatcher) pauseAfter(g Gateway, e *CallError) func(failures int) time.Duration {
	return func(failures int) time.Duration {
		switch {
		case e.RetryAfter > 0, isMatrix(g), refusesItems(e) && failures < samples:
			return d.restAfter(e)(failures)
		case e.Status >= 400 && e.Status != http.StatusTooManyRequests && e.Status != http.StatusRequestTimeout:
			return d.pause
		default:
			return d.restAfter(e)(failures)
		}
	}
}

// retryAt is when a row is tried again: by the ladder, where a failure of the gateway as a whole counts at most one pause,
// so that a long outage is over for all rows soon after it ends.
func (d *Dispatcher) retryAt(now time.Time, row Row, v verdict) time.Time {
	attempt := row.Attempts + 1
	if v.refused {
		attempt = row.Refusals + 1
	}
	delay := d.ladder.Delay(attempt)
	if v.whole {
		delay = min(delay, d.pause)
	}
	if due := now.Add(max(delay, min(v.after, maxRetryAfter))); due.Before(row.Deadline) {
		return due
	}
	return row.Deadline // where it expires
}
