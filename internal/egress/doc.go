// Package egress dials the world.
//
// It has two halves. Guard makes HTTPS requests to addresses that strangers chose (the endpoint of a Web Push
// subscription, a pusher's gateway URL): it looks at the address that is really dialled, after name resolution, so a
// name that changes its mind cannot reach inside the house; it follows no redirect, takes no proxy from the environment
// and reads no more than it was told to. Dialer opens plain connections to hosts from our own configuration (APNs, FCM),
// through a CONNECT proxy when there is one.
//
// It does not know what is sent, does not retry, and knows none of the services. Its errors never print a URL, a
// path, a host name or a password.
package egress
