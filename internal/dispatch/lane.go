package dispatch

import (
	"cmp"
	"net/url"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// lane is what is known about one gateway. Its fields are guarded by the schedule's mutex.
type lane struct {
	gateway Gateway
	host    string
	// next is when to look for rows; zero when none are known to wait.
	next time.Time
	// claiming is set while a batch asks the store; one at a time does.
	claiming bool
	flying   int // batches under way
	// held is set when rows are due that belong to pushers with a row in flight: the next row that ends makes room.
	held bool
	// failures counts calls that did not do their work, one after the other; until is when the pause that they caused ends.
	failures int
	until    time.Time
	// doubts are the pushers whose calls failed since one did its work. They rest, which is no news of the gateway until
	// witnesses, the people they belong to, are several. Those are kept with the time of their last failure.
	doubts    map[pusher.Key]doubt
	witnesses map[push.Owner]time.Time
	// pace is how long calls take of late, zero before the first; seen is when the last one ended.
	pace time.Duration
	seen time.Time
}

// doubt is one pusher whose calls fail while nobody else's are known to.
type doubt struct {
	failures int
	until    time.Time
}

const (
	// laneBatches is how many batches of one gateway are under way at a time. A gateway that takes 5 s to answer (its
	// attempt_timeout) still gets 160 notifications a second.
	laneBatches = 8
	// matrixRows is how many rows a batch of a Matrix gateway has, each of which is a call of its own.
	matrixRows = 16
	// slowAfter is the pace from which a gateway shares its places with slow ones only.
	slowAfter = 2 * time.Second
	// heldPoll is when to look again at rows that another process may hold back.
	heldPoll = time.Second
	// maxRetryAfter bounds what a gateway may ask for.
	maxRetryAfter = time.Hour
	// forgetAfter is how long pace and trouble are remembered for which no row waits any more: as long as a gateway that is
	// asked now and then would go on taking the places of others.
	forgetAfter = time.Hour
)

// limit is how many rows a batch claims. A Matrix gateway in trouble is asked with one of them.
func (l *lane) limit() int {
	if isMatrix(l.gateway) && l.failures == 0 {
		return matrixRows
	}
	return MaxItems
}

// width is how many batches may be under way.
func (l *lane) width() int {
	if l.failures > 0 {
		return 1
	}
	return laneBatches
}

// pool says whom a lane shares places with.
func (l *lane) pool() pool {
	switch {
	case l.failures > 0:
		return poolFailing
	case l.pace == 0:
		return poolNew
	case l.pace > slowAfter:
		return poolSlow
	default:
		return poolGood
	}
}

// took notes how long a call was: a new pace counts a quarter, so that one late answer is none yet.
func (l *lane) took(t time.Duration, now time.Time) {
	if l.pace > 0 {
		t = (3*l.pace + t) / 4
	}
	l.pace, l.seen = max(t, 1), now
}

// doubted notes that a call for one pusher failed, who rests for what the number of its failures says. Calls that were
// under way together count once.
func (l *lane) doubted(who pusher.Key, now time.Time, rest func(failures int) time.Duration) {
	if l.doubts == nil {
		l.doubts, l.witnesses = map[pusher.Key]doubt{}, map[push.Owner]time.Time{}
	}
	l.witnesses[who.Owner] = now
	if d := l.doubts[who]; !d.until.After(now) {
		d.failures++
		d.until = now.Add(rest(d.failures))
		l.doubts[who] = d
	}
}

// idle reports whether there is nothing to remember.
func (l *lane) idle(now time.Time) bool {
	return !l.busy() && now.Sub(l.until) > forgetAfter && now.Sub(l.seen) > forgetAfter
}

func (l *lane) busy() bool { return !l.next.IsZero() || l.flying > 0 || l.claiming }

// at is when a batch could begin.
func (l *lane) at() time.Time {
	if l.until.After(l.next) {
		return l.until
	}
	return l.next
}

// before orders lanes that wait for places of one pool: whoever takes long goes last, then whoever failed least goes
// first, then whoever waits longest.
func (l *lane) before(o *lane) int {
	return cmp.Or(cmp.Compare(slowness(l), slowness(o)), cmp.Compare(l.failures, o.failures), l.at().Compare(o.at()))
}

func slowness(l *lane) int {
	if l.pace > slowAfter {
		return 1
	}
	return 0
}

// host is the name of the machine behind a gateway. Its path may hold more than its operator's name.
func host(g Gateway) string {
	u, err := url.Parse(g.URL)
	if err != nil {
		return "unknown"
	}
	return strings.ToLower(u.Hostname())
}

func isMatrix(g Gateway) bool { return g.Realm == push.RealmMatrix }

// realmOf is a gateway's realm as a metric says it.
func realmOf(g Gateway) string { return string(g.Realm) }
