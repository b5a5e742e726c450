package push

import (
	"fmt"
	"log/slog"
)

// placeholder is what every printing path shows instead of the value.
const placeholder = "<redacted>"

// Pushkey addresses one device at one provider: an APNs token (hex or Base64), an FCM registration token, a Web Push
// p256dh key. At most 512 bytes of UTF-8 (Matrix Client-Server API, POST /pushers/set). It identifies a person's
// phone, so it cannot print itself: call Reveal where the value must go on the wire or into the store.
type Pushkey string

// Reveal returns the value. The call sites are the complete list of places that a pushkey can leave by.
func (k Pushkey) Reveal() string { return string(k) }

// String shows a placeholder.
func (k Pushkey) String() string { return placeholder }

// GoString shows a placeholder.
func (k Pushkey) GoString() string { return placeholder }

// Format shows a placeholder for every verb.
func (k Pushkey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(placeholder)) }

// LogValue shows a placeholder.
func (k Pushkey) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText shows a placeholder, also to encoding/json.
func (k Pushkey) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// Object is one JSON object or value as the caller sent it: custom members, their order and the digits of numbers survive
// because nobody decodes what nobody needs (white space may be gone, and <, > and & be written as escapes). Nil means
// absent or null.
type Object []byte

// Bytes returns the JSON text.
func (o Object) Bytes() []byte { return []byte(o) }

// String shows a placeholder.
func (o Object) String() string { return placeholder }

// GoString shows a placeholder.
func (o Object) GoString() string { return placeholder }

// Format shows a placeholder for every verb.
func (o Object) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(placeholder)) }

// LogValue shows a placeholder.
func (o Object) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText shows a placeholder, also to encoding/json.
func (o Object) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// Text is an optional text of an event: names, ids, ciphertext. The zero value is absent; a present text may be empty,
// and Sygnal's payload rules tell the two apart.
type Text struct {
	value   string
	present bool
}

// NewText returns a present text.
func NewText(s string) Text { return Text{value: s, present: true} }

// TextFrom returns the text behind p, absent when p is nil.
func TextFrom(p *string) Text {
	if p == nil {
		return Text{}
	}
	return NewText(*p)
}

// RevealPointer is the way back of TextFrom: nil when absent.
func (t Text) RevealPointer() *string {
	if !t.present {
		return nil
	}
	return &t.value
}

// Reveal returns the value, empty when absent.
func (t Text) Reveal() string { return t.value }

// Present reports whether the caller sent the member with a string in it.
func (t Text) Present() bool { return t.present }

// Empty reports whether the text is absent or the empty string.
func (t Text) Empty() bool { return t.value == "" }

// String shows a placeholder.
func (t Text) String() string { return placeholder }

// GoString shows a placeholder.
func (t Text) GoString() string { return placeholder }

// Format shows a placeholder for every verb.
func (t Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(placeholder)) }

// LogValue shows a placeholder.
func (t Text) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText shows a placeholder, also to encoding/json.
func (t Text) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// Format keeps fmt out of a whole value. A verb that does not fit (%s) makes fmt print the fields below a pointer
// without asking their own Format methods.
func (n Notification) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("<notification>")) }

// Format keeps fmt out of a whole value.
func (d Device) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("<device>")) }

// Format keeps fmt out of a whole value.
func (e Event) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("<event>")) }

// Format keeps fmt out of a whole value.
func (s Sealed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("<sealed>")) }
