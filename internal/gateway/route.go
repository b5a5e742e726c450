package gateway

import (
	"strings"

	"github.com/pushgate/pushgate/internal/push"
)

// routes is an immutable picture of what is configured; a reload replaces it as a whole.
type routes struct {
	cfg     Config
	lanes   []*lane
	byApp   *globSet[*lane]
	byName  map[push.AppID]*lane
	senders map[string]*globSet[struct{}] // san -> app_ids
	claimed *globSet[struct{}]            // the app_ids of all senders
}

func newRoutes(cfg Config, lanes []*lane, senders []Sender) *routes {
	r := &routes{
		cfg: cfg, lanes: lanes,
		byApp: newGlobSet[*lane](), byName: make(map[push.AppID]*lane, len(lanes)),
		senders: map[string]*globSet[struct{}]{}, claimed: newGlobSet[struct{}](),
	}
	for _, l := range lanes {
		r.byApp.add(string(l.name), l)
		r.byName[l.name] = l
	}
	for _, s := range senders {
		if len(s.AppIDs) == 0 {
			continue // lists channels only: a line for the notification service, none for the gateway
		}
		name := sanKey(s.San)
		if r.senders[name] == nil {
			r.senders[name] = newGlobSet[struct{}]()
		}
		for _, id := range s.AppIDs {
			r.senders[name].add(id, struct{}{})
			r.claimed.add(id, struct{}{})
		}
	}
	return r
}

// sanKey makes names comparable: DNS names ignore case (RFC 4343), the path of a URI does not.
func sanKey(san string) string {
	if strings.Contains(san, ":") {
		return san
	}
	return strings.ToLower(san)
}

// permits reports whether the caller may push to an app_id. Without senders every caller may. A named app_id belongs to
// its senders alone: anonymous homeservers do not reach it.
func (r *routes) permits(caller push.Caller, app push.AppID) bool {
	if len(r.senders) == 0 {
		return true
	}
	if caller.Path == push.PathMatrix {
		_, taken := r.claimed.find(string(app))
		return !taken
	}
	for _, name := range caller.Names {
		if own := r.senders[sanKey(name)]; own != nil {
			if _, ok := own.find(string(app)); ok {
				return true
			}
		}
	}
	return false
}

// lane returns the app that an app_id is routed to.
func (r *routes) lane(app push.AppID) *lane {
	l, _ := r.byApp.find(string(app))
	return l
}
