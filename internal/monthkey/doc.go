// Package monthkey owns the key chain of gemF_PushNotification: from the secret that an app hands over once (ISS) a new
// AES key is derived for every month, and messages are framed, padded and sealed with the key of their month.
//
// One step is HKDF-SHA256 without salt, with the month (yyyy-MM) as info and 64 bytes of output: bytes 0-31 are the
// shared secret that the next month is derived from, bytes 32-63 the AES-256 key of that month (A_27158-01). The ISS and
// the month of its creation give the first generation; every later month is stepped to, none may be skipped (A_27160).
// Going backwards is impossible by design.
//
// It owns no storage, no clock and no wire format. Secrets, keys and the ISS cannot print themselves.
package monthkey
