package faults

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// device is where a notification goes.
type device struct {
	app, pushkey string
	token        string // as receipts show it
	data         string // JSON, empty for none
	ts           int64  // pushkey_ts; 0 leaves it out
}

// item is one device of one notification, which either arrives once or was never promised.
type item struct{ event, token string }

// promise is what the sender knows about an item that was answered.
type promise struct {
	app     string
	at      time.Time
	failed  bool // a batch said failed: final, and the caller knows
	outcome string
}

// sender plays homeservers and Fachdienste: it logs what was promised to it.
type sender struct {
	client *http.Client
	nodes  func() []*harness.Node
	turn   atomic.Uint64
	events atomic.Uint64
	name   string

	mu         sync.Mutex
	promised   map[item]*promise
	rejected   map[string]bool // tokens that were in `rejected`
	refused    int             // requests answered 503
	turned     int             // devices in those
	odd        []string        // answers that no contract knows
	broken     int             // requests without an answer
	cut        int             // devices in those
	retryAfter bool            // every 503 had Retry-After
}

func newSender(name string, nodes func() []*harness.Node) *sender {
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	return &sender{
		client: &http.Client{Transport: tr, Timeout: harness.Patience}, nodes: nodes, name: name,
		promised: map[item]*promise{}, rejected: map[string]bool{}, retryAfter: true,
	}
}

func (s *sender) event() string { return fmt.Sprintf("$%s-%d", s.name, s.events.Add(1)) }

// url is a listener of the nodes in turn.
func (s *sender) url(path string) string {
	nodes := s.nodes()
	return "http://" + nodes[int(s.turn.Add(1))%len(nodes)].Addr("public") + path //nolint:gosec // small
}

// operation is a way to send.
type operation string

const (
	opMatrix    operation = "/_matrix/push/v1/notify"
	opNotify    operation = "/push/v1/notify"
	opBatch     operation = "/push/v1/notify/batch"
	opEncrypted operation = "/push/v1/notifyEncrypted/batch"
)

// send sends one request: for the two notify operations one event to all devices, for the batches an item for each
// device. It reports whether the answer was 2xx.
func (s *sender) send(op operation, event string, devices ...device) bool {
	url := s.url(string(op))
	a, err := harness.Send(s.client, url, body(op, event, devices))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		if notSent(err) {
			return false
		}
		s.broken++
		s.cut += len(devices)
	case a.Status == http.StatusServiceUnavailable:
		s.refused++
		s.turned += len(devices)
		s.retryAfter = s.retryAfter && a.Header.Get("Retry-After") != ""
	case a.Status == http.StatusOK:
		s.note(op, event, devices, a.Body)
		return true
	default:
		s.odd = append(s.odd, fmt.Sprintf("%d %s", a.Status, a.Body))
	}
	return false
}

// deliver repeats a request until it is answered 2xx, as a homeserver does, or until the attempts are used up.
func (s *sender) deliver(op operation, attempts int, pause time.Duration, devices ...device) bool {
	event := s.event()
	for i := range attempts {
		if i > 0 {
			time.Sleep(pause)
		}
		if s.send(op, event, devices...) {
			return true
		}
	}
	return false
}

// note logs a 2xx. The lock is held.
func (s *sender) note(op operation, event string, devices []device, text string) {
	var answer struct {
		Rejected []string `json:"rejected"`
		Results  []struct {
			ID       string   `json:"id"`
			Status   string   `json:"status"`
			Rejected []string `json:"rejected"`
		} `json:"results"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		s.odd = append(s.odd, "not JSON: "+text)
		return
	}
	rejected := answer.Rejected
	status := map[string]string{}
	for _, r := range answer.Results {
		rejected = append(rejected, r.Rejected...)
		status[r.ID] = r.Status
	}
	now := time.Now()
	for i, d := range devices {
		p := &promise{app: d.app, at: now}
		if op == opBatch || op == opEncrypted {
			p.outcome = status[itemID(i)]
			p.failed = p.outcome == "failed"
		}
		for _, r := range rejected {
			if r == d.pushkey {
				p.failed = true
				s.rejected[d.token] = true
			}
		}
		s.promised[item{eventOf(op, event, i), d.token}] = p
	}
}

func itemID(i int) string { return fmt.Sprint("i", i) }

// eventOf is the event id of a device's notification: a batch has one for each item.
func eventOf(op operation, event string, i int) string {
	if op == opBatch || op == opEncrypted {
		return fmt.Sprintf("%s.%d", event, i)
	}
	return event
}

func (d device) json() string {
	var more strings.Builder
	if d.ts != 0 {
		fmt.Fprintf(&more, `,"pushkey_ts":%d`, d.ts)
	}
	if d.data != "" {
		fmt.Fprintf(&more, `,"data":%s`, d.data)
	}
	return fmt.Sprintf(`{"app_id":%q,"pushkey":%q%s}`, d.app, d.pushkey, &more)
}

func body(op operation, event string, devices []device) string {
	var items []string
	switch op {
	case opMatrix, opNotify:
		for _, d := range devices {
			items = append(items, d.json())
		}
		return fmt.Sprintf(`{"notification":{"event_id":%q,"room_id":"!r","type":"m.room.message","sender":"@a:x","content":{"msgtype":"m.text","body":"x"},"devices":[%s]}}`,
			event, strings.Join(items, ","))
	case opBatch:
		for i, d := range devices {
			items = append(items, fmt.Sprintf(`{"id":%q,"notification":{"event_id":%q,"room_id":"!r","devices":[%s]}}`, itemID(i), eventOf(op, event, i), d.json()))
		}
	case opEncrypted:
		for i, d := range devices {
			id := eventOf(op, event, i)
			items = append(items, fmt.Sprintf(`{"id":%q,"notification":{"ciphertext":%q,"time_message_encrypted":"2026-07","key_identifier":"k","identifier":%q,"device":%s}}`,
				itemID(i), ciphertext(id), id, d.json()))
		}
	}
	return `{"notifications":[` + strings.Join(items, ",") + `]}`
}

// ciphertext is 1404 characters of Base64, different for every seed.
func ciphertext(seed string) string {
	raw := make([]byte, 1052)
	copy(raw, seed)
	return base64.StdEncoding.EncodeToString(raw)
}

// iosDevice and androidDevice are devices by number.
func iosDevice(n int) device {
	token := fmt.Sprintf("%064x", n+1)
	return device{app: harness.AppIOS, pushkey: token, token: token}
}

func androidDevice(n int) device {
	token := fmt.Sprintf("android-%d:APA91bHPRgkF3JUikC4ENAHEeMrd41Zxv3hVZjC9KtT8OvPVGJ", n)
	return device{app: harness.AppAndroid, pushkey: token, token: token}
}

// webDevice is a browser that the simulator knows.
func webDevice(sub simulator.Subscription) device {
	data, _ := json.Marshal(map[string]string{"endpoint": sub.Endpoint, "auth": sub.Auth})
	return device{app: harness.AppWeb, pushkey: sub.P256DH, token: sub.Endpoint[strings.LastIndexByte(sub.Endpoint, '/')+1:], data: string(data)}
}
