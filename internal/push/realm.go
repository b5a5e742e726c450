package push

import (
	"fmt"
	"log/slog"
)

// Realm separates the two populations of users. A pusher, a token and a user id belong to exactly one, and nothing
// crosses. The zero value is no realm: whatever carries it finds nothing and may do nothing.
type Realm string

// The realms, spelled as in configuration and storage.
const (
	RealmMatrix     Realm = "matrix"     // users of a homeserver: @alice:example.org
	RealmFachdienst Realm = "fachdienst" // insured persons and institutions: kvnr:X110400000, telematik-id:1-2...
)

// Valid reports whether r is one of the realms.
func (r Realm) Valid() bool { return r == RealmMatrix || r == RealmFachdienst }

// UserID names a person within a realm: a Matrix user id as the homeserver spells it, or <id_type>:<value> in the
// Fachdienst realm. It is personal, so it cannot print itself: call Reveal where the value must go into the store.
type UserID string

// Reveal returns the value.
func (u UserID) Reveal() string { return string(u) }

// String and its siblings keep the value out of logs and error texts.
func (u UserID) String() string { return placeholder }

// GoString hides it from %#v.
func (u UserID) GoString() string { return placeholder }

// Format hides it from every verb.
func (u UserID) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(placeholder)) }

// LogValue hides it from log/slog.
func (u UserID) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText hides it from encoding/json.
func (u UserID) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// Owner is a user in a realm. It is comparable.
type Owner struct {
	Realm Realm
	User  UserID
}
