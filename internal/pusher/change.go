package pusher

import (
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/pushgate/pushgate/internal/push"
)

// Limits of the fields (Matrix Client-Server API, POST pushers/set; A_27168). One counts bytes, the other characters.
const (
	maxPushkeyBytes = 512
	maxAppIDChars   = 64
)

// Change is one POST pushers/set as received: a member that was absent, or null where that means absent, is absent here.
// What the members hold is not checked yet.
type Change struct {
	// Kind is absent when the member was missing or null; Delete tells the two apart. A missing kind is an error and
	// never a deletion, so the zero Change deletes nothing.
	Kind   push.Text
	Delete bool

	AppID             push.Text
	Pushkey           push.Text
	AppDisplayName    push.Text
	DeviceDisplayName push.Text
	Lang              push.Text
	ProfileTag        push.Text
	// Data is the JSON object verbatim. Members that open proposals gave a meaning to (MSC3881, MSC4076) are custom
	// members like any other.
	Data push.Object
	// Append keeps the pushers of other users with the same app_id and pushkey. Deleting ignores it.
	Append bool
	// Encryption is nil when the member was absent.
	Encryption *EncryptionChange
}

// EncryptionChange is the member encryption as received. It is write-only: no answer ever holds any of it.
type EncryptionChange struct {
	Method         push.Text
	TimeISSCreated push.Text
	ISS            push.Text
	KeyID          push.Text
}

// String and its siblings keep all of it out of logs and error texts: fmt looks into Encryption when it is
// asked with a verb that does not fit.
func (c Change) String() string { return changeText }

// GoString hides it from %#v.
func (c Change) GoString() string { return changeText }

// Format hides it from every verb.
func (c Change) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(changeText)) }

// LogValue hides it from log/slog.
func (c Change) LogValue() slog.Value { return slog.StringValue(changeText) }

const changeText = "change of a pusher"

// key checks and returns what both verbs need.
func (c Change) key(owner push.Owner) (Key, error) {
	appID, pushkey := c.AppID.Reveal(), c.Pushkey.Reveal()
	switch {
	case appID == "":
		return Key{}, invalid("app_id is empty")
	case utf8.RuneCountInString(appID) > maxAppIDChars:
		return Key{}, invalid("app_id is longer than 64 characters")
	case !storable(appID):
		return Key{}, invalid("app_id holds a character that is not allowed")
	case pushkey == "":
		return Key{}, invalid("pushkey is empty")
	case len(pushkey) > maxPushkeyBytes:
		return Key{}, invalid("pushkey is longer than 512 bytes")
	case !storable(pushkey):
		return Key{}, invalid("pushkey holds a character that is not allowed")
	}
	return Key{Owner: owner, AppID: push.AppID(appID), Pushkey: push.Pushkey(pushkey)}, nil
}

// pusher checks the members that say something about the app and the device, and returns them under their key.
func (c Change) pusher(key Key, device string, r rules) (Pusher, error) {
	if c.Kind.Reveal() != KindHTTP {
		return Pusher{}, invalid("kind must be http or null")
	}
	for _, text := range []struct {
		name  string
		value push.Text
	}{
		{"app_display_name", c.AppDisplayName},
		{"device_display_name", c.DeviceDisplayName},
		{"lang", c.Lang},
		{"profile_tag", c.ProfileTag},
	} {
		if !storable(text.value.Reveal()) {
			return Pusher{}, invalid(text.name + " holds a character that is not allowed")
		}
	}
	url, err := gatewayURL(c.Data)
	if err != nil {
		return Pusher{}, err
	}
	if err := r.gateway(url); err != nil {
		return Pusher{}, err
	}
	return Pusher{
		Key:               key,
		Kind:              KindHTTP,
		AppDisplayName:    c.AppDisplayName.Reveal(),
		DeviceDisplayName: c.DeviceDisplayName.Reveal(),
		Lang:              c.Lang.Reveal(),
		ProfileTag:        c.ProfileTag,
		Data:              c.Data,
		URL:               url,
		DeviceID:          device,
	}, nil
}

// missing names the required members that are absent, in the order in which the specification lists them. What is
// required depends on the verb; a missing kind is reported together with what creating would need.
func (c Change) missing(encryption EncryptionMode) []string {
	var names []string
	need := func(there bool, name string) {
		if !there {
			names = append(names, name)
		}
	}
	deletes := c.deletes()
	need(c.Kind.Present() || deletes, "kind")
	need(c.AppID.Present(), "app_id")
	if !deletes {
		need(c.AppDisplayName.Present(), "app_display_name")
		need(c.DeviceDisplayName.Present(), "device_display_name")
	}
	need(c.Pushkey.Present(), "pushkey")
	if deletes {
		return names
	}
	need(c.Lang.Present(), "lang")
	need(!isNull(c.Data), "data")
	if e := c.Encryption; e != nil && encryption != EncryptionForbidden {
		need(e.Method.Present(), "encryption.method")
		need(e.TimeISSCreated.Present(), "encryption.time_iss_created")
		need(e.ISS.Present(), "encryption.iss")
		need(e.KeyID.Present(), "encryption.key_identifier")
	} else {
		need(encryption != EncryptionRequired, "encryption")
	}
	return names
}

func (c Change) deletes() bool { return c.Delete && !c.Kind.Present() }

// storable reports whether a text can be kept: valid UTF-8 without NUL, which PostgreSQL has no way to store.
func storable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }
