// Package push holds the words of the field: notification, device, pushkey, pusher, channel, outcome, fault, error.
//
// Every other package speaks in these words. It owns no rule, no wire format and no state, and it imports the
// standard library only. Types that carry something a log must never show (a pushkey, content, ciphertext) cannot
// print themselves: fmt, log/slog and encoding/json all see a placeholder.
package push
