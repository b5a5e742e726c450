// Package admin is the socket data_dir/admin.sock, for the person on call: both its server and its client.
//
// Whoever may open the file (mode 0600) may change things, so the commands that do go through here and the admin
// listener stays read-only. It owns the protocol between the two halves of one binary. It shows no payload, no
// pushkey and no content: a device is a keyed hash.
package admin
