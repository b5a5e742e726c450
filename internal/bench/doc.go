// Command bench measures pushgate against the limit: what a bare apns2 or FCM sender costs on the same machine in the
// same run. Ratios are the result; absolute numbers only colour.
//
// It builds the binary, starts a stub of the push services in a second process and pushgate in a third, drives it from
// this one, and reads the CPU time and memory of pushgate's process alone. `make bench` runs it.
package main
