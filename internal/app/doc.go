// Package app turns a configuration into a running process and back: it builds every room, binds the listeners, starts
// the workers, reloads, and stops in the right order.
//
// It owns wiring and lifecycle only. No rule about notifications lives here.
package app
