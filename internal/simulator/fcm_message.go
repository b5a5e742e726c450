package simulator

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/simulator/jsonscan"
)

const (
	fcmPayloadLimit = 4096
	fcmTTLLimit     = 2419200 // seconds: four weeks
	fcmTokenLimit   = 4096
)

// violation is a broken rule at a field, as Google reports it.
type violation struct{ field, text string }

func (v *violation) Error() string { return v.field + ": " + v.text }

// fcmMessage reads a send request against the schema and keeps what a receipt tells.
type fcmMessage struct {
	scan *jsonscan.Scanner

	token, priority, ttl, collapseKey string
	addressed, otherTarget            bool
	data, visible, validateOnly       bool
	size                              int // keys plus values
}

func newMessage(body []byte) *fcmMessage { return &fcmMessage{scan: jsonscan.New(body)} }

func (m *fcmMessage) read(schema *shape) error {
	if err := m.value(schema); err != nil {
		return err
	}
	return m.scan.End()
}

func (m *fcmMessage) value(s *shape) error {
	if kind := m.scan.Kind(); kind == jsonscan.Null || kind == jsonscan.Invalid {
		return m.scan.Skip() // proto3: the field is not set; or no JSON at all
	}
	switch s.form {
	case formObject:
		return m.object(s)
	case formStruct:
		if m.scan.Kind() != jsonscan.Object {
			return s.invalid("TYPE_STRUCT")
		}
		return m.scan.Skip()
	case formMap:
		return m.strings(s)
	case formList:
		if m.scan.Kind() != jsonscan.Array {
			return s.invalid("TYPE_REPEATED")
		}
		return m.scan.Array(func() error { return m.value(s.item) })
	case formBool:
		if m.scan.Kind() != jsonscan.Bool {
			return s.invalid("TYPE_BOOL")
		}
		on, err := m.scan.Bool()
		if s.place == atValidateOnly {
			m.validateOnly = on
		}
		return err
	case formInt32, formNumber:
		return m.number(s)
	default:
		return m.text(s)
	}
}

func (s *shape) invalid(kind string) error {
	return &violation{s.path, "Invalid value at '" + s.path + "' (" + kind + ")"}
}

func (m *fcmMessage) object(s *shape) error {
	if m.scan.Kind() != jsonscan.Object {
		return s.invalid("TYPE_MESSAGE")
	}
	var seen [48]*shape
	n := 0
	return m.scan.Object(func(name []byte) error {
		member := s.fields[string(name)]
		if member == nil {
			return &violation{s.path, "Invalid JSON payload received. Unknown name " + strconv.Quote(string(name)) + " at '" + s.path + "': Cannot find field."}
		}
		if slices.Contains(seen[:n], member) {
			return &violation{member.path, "Invalid JSON payload received. Field given in both spellings."}
		}
		seen[n] = member
		n++
		return m.value(member)
	})
}

// strings reads a map<string, string>, and counts it if it travels to the app.
func (m *fcmMessage) strings(s *shape) error {
	if m.scan.Kind() != jsonscan.Object {
		return s.invalid("TYPE_MAP")
	}
	return m.scan.Object(func(name []byte) error {
		switch m.scan.Kind() {
		case jsonscan.String:
		case jsonscan.Invalid:
			return m.scan.Skip()
		default:
			field := s.path + "." + string(name)
			return &violation{field, "Invalid value at '" + field + "' (TYPE_STRING)"}
		}
		value, err := m.scan.Text()
		if err != nil || s.place != atData {
			return err
		}
		m.data = true
		m.size += len(name) + len(value)
		if reservedKey(string(name)) {
			return &violation{s.path + "." + string(name), "Invalid data payload key: " + string(name)}
		}
		return nil
	})
}

// reservedKey follows "Data payload": from, message_type and whatever begins with google or gcm.
func reservedKey(name string) bool {
	return name == "from" || name == "message_type" || name == "" ||
		strings.HasPrefix(name, "google.") || strings.HasPrefix(name, "gcm.")
}

func (m *fcmMessage) number(s *shape) error {
	if m.scan.Kind() != jsonscan.Number {
		return s.invalid("TYPE_NUMBER")
	}
	n, err := m.scan.Number()
	if err != nil || s.form == formNumber {
		return err
	}
	if _, err := strconv.ParseInt(string(n), 10, 32); err != nil {
		return s.invalid("TYPE_INT32")
	}
	return nil
}

func (m *fcmMessage) text(s *shape) error {
	if m.scan.Kind() != jsonscan.String {
		return s.invalid("TYPE_STRING")
	}
	raw, err := m.scan.Text()
	if err != nil {
		return err
	}
	v := string(raw)
	switch s.form {
	case formEnum:
		if !slices.Contains(s.enum, strings.ToUpper(v)) {
			return s.invalid("TYPE_ENUM")
		}
	case formDuration:
		if !duration(v) {
			return s.invalid("type.googleapis.com/google.protobuf.Duration")
		}
	case formTime:
		if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
			return s.invalid("type.googleapis.com/google.protobuf.Timestamp")
		}
	default:
	}
	m.take(s.place, v)
	return nil
}

func (m *fcmMessage) take(p place, v string) {
	switch p {
	case atToken:
		m.token, m.addressed = v, v != ""
	case atTarget:
		m.otherTarget = m.otherTarget || v != ""
	case atPriority:
		m.priority = v
	case atTTL:
		m.ttl = v
	case atCollapseKey:
		m.collapseKey = v
	case atVisible:
		m.visible = true
		m.size += len(v)
	default: // nothing that a receipt tells
	}
}

// duration is proto3's JSON form: seconds with up to nine decimals and an s.
func duration(v string) bool {
	number, ok := strings.CutSuffix(v, "s")
	whole, fraction, _ := strings.Cut(number, ".")
	return ok && whole != "" && len(whole) <= 12 && digits(whole) && len(fraction) <= 9 && digits(fraction) && !strings.HasSuffix(number, ".")
}

// rules are those that the schema cannot say. A violation without a field is answered without details.
func (m *fcmMessage) rules() error {
	if !m.addressed || m.otherTarget {
		return &violation{"message", "Recipient of the message is not set."}
	}
	if len(m.token) > fcmTokenLimit || strings.ContainsFunc(m.token, notInToken) {
		return &violation{"message.token", badRegistrationToken}
	}
	if seconds, _, _ := strings.Cut(strings.TrimSuffix(m.ttl, "s"), "."); m.ttl != "" {
		if n, err := strconv.ParseInt(seconds, 10, 64); err != nil || n > fcmTTLLimit {
			return &violation{"message.android.ttl", "Invalid value: ttl must be between 0 and 2419200 seconds."}
		}
	}
	if m.size > fcmPayloadLimit {
		return errTooBig
	}
	return nil
}

var errTooBig = errors.New("Android message is too big") //nolint:staticcheck // Google's own words

// notInToken knows what registration tokens are made of: base64url, colons, and what older ones had.
func notInToken(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("_-:.=%", r)
}
