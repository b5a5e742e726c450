package registry

import (
	"encoding/binary"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/store/keyring"
)

// bodyVersion is the first byte of a body. Fields are framed by their length and keep their bytes as they are: JSON
// would mend what is not UTF-8.
const bodyVersion = 1

// appendBody writes what of a pusher is sealed: everything but the app, the session and the times.
func appendBody(b []byte, p pusher.Pusher) []byte {
	b = append(b, bodyVersion)
	for _, field := range []string{
		string(p.Owner.Realm), p.Owner.User.Reveal(), p.Pushkey.Reveal(), p.Kind, p.AppDisplayName, p.DeviceDisplayName, p.Lang, p.URL,
	} {
		b = appendField(b, field)
	}
	b = appendField(b, string(p.Data.Bytes()))
	if p.ProfileTag.Present() {
		b = appendField(b, p.ProfileTag.Reveal())
	}
	return b
}

func parseBody(b []byte) (pusher.Pusher, error) {
	r := reader{rest: b}
	if len(b) == 0 || b[0] != bodyVersion {
		return pusher.Pusher{}, keyring.ErrCorrupt
	}
	r.rest = b[1:]
	var p pusher.Pusher
	p.Owner.Realm, p.Owner.User, p.Pushkey = push.Realm(r.field()), push.UserID(r.field()), push.Pushkey(r.field())
	p.Kind, p.AppDisplayName, p.DeviceDisplayName, p.Lang, p.URL = r.field(), r.field(), r.field(), r.field(), r.field()
	p.Data = push.Object(r.field())
	if !r.bad && len(r.rest) > 0 {
		p.ProfileTag = push.NewText(r.field())
	}
	if r.bad || len(r.rest) > 0 {
		return pusher.Pusher{}, keyring.ErrCorrupt
	}
	return p, nil
}

func appendField(b []byte, field string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(field))), field...)
}

// reader takes fields from the front. After a bad one all are empty.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) field() string {
	size, n := binary.Uvarint(r.rest)
	if n <= 0 || size > uint64(len(r.rest)-n) {
		r.bad = true
		return ""
	}
	field := string(r.rest[n : n+int(size)])
	r.rest = r.rest[n+int(size):]
	return field
}
