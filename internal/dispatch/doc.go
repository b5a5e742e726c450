// Package dispatch owns the way from "this happened to this person" to the push gateways: an event becomes one row in
// the outbox for every device that wants it, and each row is sealed and sent until its gateway took it, reported the
// device dead, or it was given up.
//
// It owns which devices an event goes to, how a message is shortened to fit its frame, the step to the key of the month,
// the schedule of each gateway (gateways are independent: one that is dead or slow delays no other), whose trouble a failed
// call is (what happens to one device, or to the devices of one person, delays nobody else), what an answer means, and the
// account in which nothing may go missing. It is the only layer on this side that retries.
//
// It owns no SQL (port.go says what it needs of the store), no HTTP (Caller makes the calls), no registration (package
// pusher) and no cryptography (package monthkey).
//
// The way of one event: submit.go and matrix.go (rows, in one transaction), schedule.go, lane.go and place.go (whose turn
// is it), batch.go (one claim), seal.go (month and nonce), isolate.go (whom a batch failed for), judge.go (what the answer
// means), settle.go (by row, in groups).
package dispatch
