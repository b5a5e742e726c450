// Package pusher owns the rules for pushers and channels: what a registration must hold, whom it evicts, what deletes
// it, which channels a device gets. The same Service answers the Matrix Client-Server API and the gematik Client-FD API;
// the realm of the owner picks the rules, and nothing crosses realms.
//
// It owns no SQL (the ports in port.go are implemented by internal/store), no HTTP and no token: whoever calls it has
// already established who the user is. Sending is internal/dispatch.
package pusher
