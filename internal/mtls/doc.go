// Package mtls holds the certificates of the house: those our listeners show, those our callers must show, and those we
// show to the gateways that we call.
//
// It owns reading them from files, checking them, revocation lists, replacing all of it while running, and ending
// connections whose certificate lost its trust. It does not decide what a certificate may do: the edge reads the
// verified chains and the gateway compares names with senders.
package mtls
