package admin

import "time"

// The commands.
const (
	CommandQueueList      = "queue/list"
	CommandQueueShow      = "queue/show"
	CommandQueueRetry     = "queue/retry"
	CommandQueuePurge     = "queue/purge"
	CommandRejectedList   = "rejected/list"
	CommandRejectedForget = "rejected/forget"
	CommandPusherList     = "pusher/list"
	CommandPusherDelete   = "pusher/delete"
)

// List asks for a page: at most Limit entries of App (empty: all apps) after the position After.
type List struct {
	App   string `json:"app,omitempty"`
	After int64  `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// Choice names what a command acts on: everything of App, or the given rows or devices (of App, unless it is empty).
type Choice struct {
	App     string   `json:"app,omitempty"`
	IDs     []int64  `json:"ids,omitempty"`
	Devices []string `json:"devices,omitempty"` // 32 hex digits, as a list shows them
}

// Row is one waiting notification without its payload.
type Row struct {
	ID        int64     `json:"id"`
	App       string    `json:"app"`
	Device    string    `json:"device"` // keyed hash, the same for all rows of one device
	BadgeOnly bool      `json:"badge_only,omitempty"`
	Attempts  int       `json:"attempts"`
	Accepted  time.Time `json:"accepted"`
	Due       time.Time `json:"due"`
	Deadline  time.Time `json:"deadline"`
	InFlight  bool      `json:"in_flight,omitempty"`
	// Trouble is what keeps the whole app: paused with the push service's reason, or a breaker that is not closed.
	Trouble string `json:"trouble,omitempty"`
}

// Rows is a page of rows.
type Rows struct {
	Rows []Row `json:"rows"`
}

// Dead is one entry of the ledger of dead pushkeys.
type Dead struct {
	Seq     int64     `json:"seq"`
	App     string    `json:"app"`
	Device  string    `json:"device"`
	Since   time.Time `json:"since"`
	Guarded bool      `json:"guarded,omitempty"`
}

// DeadList is a page of the ledger.
type DeadList struct {
	Dead []Dead `json:"dead"`
}

// Done says how many rows or entries a command touched.
type Done struct {
	Count int `json:"count"`
}

// Person names a user of the registry as operators write one (@user:server, kvnr:X, telematik-id:X), and optionally one of
// their sessions.
type Person struct {
	User   string `json:"user"`
	Device string `json:"device,omitempty"`
}

// Pusher is one registration without its pushkey.
type Pusher struct {
	App     string    `json:"app"`
	Device  string    `json:"device,omitempty"` // the session it belongs to
	Kind    string    `json:"kind"`
	Gateway string    `json:"gateway"` // host of data.url
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

// Pushers is one person's list.
type Pushers struct {
	Pushers []Pusher `json:"pushers"`
}
