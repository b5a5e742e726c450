// Package keyring encrypts at rest. It owns the encryption key files, the form of a sealed value, the key fingerprint
// that ties a database to its key, and the key of the look-up hashes.
//
// It knows no SQL and no table: what a sealed value belongs to arrives as a Place, and the few facts it keeps in the
// database go through the small interface Meta. No error of this package holds a byte of a key or of a plain text.
package keyring
