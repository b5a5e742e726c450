// Package backoff turns an attempt number into a delay: a doubling ladder with an upper bound and jitter.
//
// It owns the schedule only. What counts as an attempt, and what a provider asked for, is the caller's business.
package backoff
