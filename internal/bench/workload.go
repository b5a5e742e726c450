package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// workload is one row of the table.
type workload struct {
	name     string
	path     string
	batch    int
	provider string // apns, fcm
	latency  time.Duration
	// rate is the fixed arrival rate of notifications per second; 0 drives as fast as answers come.
	rate    int
	workers int // requests under way in a closed loop
	checked bool
	// overload measures the capacity first, then offers twice as much.
	overload bool
	body     func(w workload, seq int64) string
	scene    scene
}

// scene is what a gateway has to carry beside the traffic that is measured.
type scene struct {
	apps   int // configured apps
	dead   int // pushkeys in the ledger
	queued int // rows in the queue, of an app whose provider refuses
	idle   int // keep-alive connections of callers that say nothing

	procs    int // GOMAXPROCS, so that the load has a core of its own; 0 is all
	inFlight int // max_in_flight of the app; 0 is the default
}

const (
	pathMatrix    = "/_matrix/push/v1/notify"
	pathBatch     = "/push/v1/notify/batch"
	pathEncrypted = "/push/v1/notifyEncrypted/batch"
)

// workloads are the rows, in the order of the table.
func workloads() []workload {
	slow := 100 * time.Millisecond
	return []workload{
		{name: "notify", path: pathMatrix, batch: 1, provider: "apns", workers: 100, body: matrixBody, checked: true},
		{name: "notify", path: pathMatrix, batch: 1, provider: "fcm", workers: 100, body: matrixBody},
		{name: "batch 10", path: pathBatch, batch: 10, provider: "apns", workers: 20, body: batchBody},
		{name: "batch 100", path: pathBatch, batch: 100, provider: "apns", workers: 8, body: batchBody},
		{name: "encrypted 1", path: pathEncrypted, batch: 1, provider: "apns", workers: 100, body: encryptedBody},
		{name: "encrypted 10", path: pathEncrypted, batch: 10, provider: "apns", workers: 20, body: encryptedBody},
		{name: "encrypted 100", path: pathEncrypted, batch: 100, provider: "apns", workers: 8, body: encryptedBody, checked: true},
		{name: "encrypted 100", path: pathEncrypted, batch: 100, provider: "fcm", workers: 8, body: encryptedBody, checked: true},
		{name: "notify, 1,000/s", path: pathMatrix, batch: 1, provider: "apns", rate: 1000, body: matrixBody},
		{name: "notify, 1,000/s", path: pathMatrix, batch: 1, provider: "apns", latency: slow, rate: 1000, body: matrixBody},
		{name: "encrypted 1, 1,000/s", path: pathEncrypted, batch: 1, provider: "fcm", latency: slow, rate: 1000, body: encryptedBody},
		{name: "notify, 10,000 apps", path: pathMatrix, batch: 1, provider: "apns", workers: 100, body: matrixBody, scene: scene{apps: 10_000}},
		{name: "notify, 1,000,000 dead pushkeys", path: pathMatrix, batch: 1, provider: "apns", workers: 100, body: matrixBody, scene: scene{dead: 1_000_000}},
		{name: "notify, 100,000 queued", path: pathMatrix, batch: 1, provider: "apns", workers: 100, body: matrixBody, scene: scene{queued: 100_000}},
		{name: "notify, 1,000 idle callers", path: pathMatrix, batch: 1, provider: "apns", workers: 100, body: matrixBody, scene: scene{idle: 1000}},
		{name: "notify, twice what one core can", path: pathMatrix, batch: 1, provider: "apns", workers: 100, body: matrixBody, overload: true, scene: scene{procs: 1}},
		{name: "batch 10, twice what one core can", path: pathBatch, batch: 10, provider: "apns", workers: 20, body: batchBody, overload: true, scene: scene{procs: 1}},
		{name: "notify, twice what 100 slots can", path: pathMatrix, batch: 1, provider: "apns", latency: slow, workers: 200, body: matrixBody, overload: true, scene: scene{inFlight: 100}},
	}
}

// plain reports whether a row is nothing but work at full speed: what the compiler should know of.
func (w workload) plain() bool { return w.rate == 0 && w.latency == 0 && w.scene == scene{} }

// deadPrefix begins the pushkeys that the stub calls dead.
const deadPrefix = "dead"

// device returns the app and a pushkey that no other notification has.
func device(w workload, seq int64) string {
	if w.provider == "fcm" {
		return fmt.Sprintf(`{"app_id":"com.example.app.android","pushkey":"bench-%d"}`, seq)
	}
	return fmt.Sprintf(`{"app_id":"com.example.app.ios","pushkey":"%s","pushkey_ts":1700000000}`, deviceToken(seq))
}

func deviceToken(seq int64) string { return fmt.Sprintf("%064x", seq) }

// event is a chat message of about 1 KB.
func event(w workload, seq int64) string {
	return fmt.Sprintf(`{"event_id":"$bench-%d","room_id":"!slw48wfj34rtnrf:example.com","type":"m.room.message","sender":"@exampleuser:matrix.org",`+
		`"sender_display_name":"Major Tom","room_name":"Mission Control","prio":"high","content":{"msgtype":"m.text","body":"%s"},`+
		`"counts":{"unread":2,"missed_calls":1},"devices":[%s]}`, seq, strings.Repeat("I'm floating in a most peculiar way. ", 14), device(w, seq))
}

func matrixBody(w workload, seq int64) string { return `{"notification":` + event(w, seq) + `}` }

func batchBody(w workload, seq int64) string {
	return items(w, seq, func(n int64) string { return event(w, n) })
}

func encryptedBody(w workload, seq int64) string {
	return items(w, seq, func(n int64) string { return sealed(n, device(w, n)) })
}

func sealed(n int64, device string) string {
	return fmt.Sprintf(`{"ciphertext":"%s","time_message_encrypted":"2026-07","key_identifier":"7f6c1f1c-2f5e-4c6e-9a3e-0d6f1f0b8f52","prio":"high","device":%s}`, ciphertext(n), device)
}

func items(w workload, seq int64, one func(int64) string) string {
	var b strings.Builder
	b.WriteString(`{"notifications":[`)
	for i := range w.batch {
		if i > 0 {
			b.WriteByte(',')
		}
		n := seq*int64(w.batch) + int64(i)
		fmt.Fprintf(&b, `{"id":"%d","notification":%s}`, n, one(n))
	}
	b.WriteString(`]}`)
	return b.String()
}

// ciphertext is 1404 characters that differ with n.
func ciphertext(n int64) string {
	raw := make([]byte, 1052)
	for i := range raw {
		raw[i] = byte(i * 37)
	}
	binary.BigEndian.PutUint64(raw, uint64(n)) //nolint:gosec // a counter
	return base64.StdEncoding.EncodeToString(raw)
}
