// Package ops shows a running process to the people who run it: logs, metrics, health.
//
// It is the only package that knows Prometheus. The rooms tell it what happens through interfaces of their own, which
// Metrics implements; what they already count (the gateway's Stats) is read when somebody scrapes. Every label comes
// from a bounded list: operations of the contracts, configured apps, fixed reasons. It never sees a pushkey or content,
// and changes nothing: its HTTP side answers GET and HEAD only.
package ops
