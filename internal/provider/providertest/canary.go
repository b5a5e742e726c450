package providertest

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// The texts that every notification of the suite carries and that must never show up in a log, an error or an outcome.
const (
	canarySender     = "@canary-sender:example.org"
	canaryName       = "Canary Sendername"
	canaryRoom       = "Canary Roomname"
	canaryRoomID     = "!canaryroom:example.org"
	canaryEventID    = "$canary-event"
	canaryBody       = "canary body text"
	canaryCiphertext = "Q2FuYXJ5Q2lwaGVydGV4dA=="
	canaryKeyID      = "canary-key-identifier"
	canaryIdentifier = "canary-outer-identifier"
)

// canaries lists every secret of a notification for this pushkey.
func canaries(key push.Pushkey) []string {
	return []string{
		key.Reveal(), strings.ToLower(key.Reveal()), canarySender, canaryName, canaryRoom, canaryRoomID, canaryEventID,
		canaryBody, canaryCiphertext, canaryKeyID, canaryIdentifier,
	}
}

// plain returns a Matrix message for d.
func plain(d push.Device) push.Notification {
	unread := int64(3)
	return push.Notification{
		Device: d,
		Counts: push.Counts{Unread: &unread},
		Event: &push.Event{
			ID:                push.NewText(canaryEventID),
			RoomID:            push.NewText(canaryRoomID),
			Type:              push.NewText("m.room.message"),
			Sender:            push.NewText(canarySender),
			SenderDisplayName: push.NewText(canaryName),
			RoomName:          push.NewText(canaryRoom),
			Content:           push.Object(`{"msgtype":"m.text","body":"` + canaryBody + `"}`),
		},
	}
}

// sealed returns an encrypted notification for d.
func sealed(d push.Device) push.Notification {
	return push.Notification{
		Device: d,
		Sealed: &push.Sealed{
			Ciphertext:    push.NewText(canaryCiphertext),
			Month:         "2026-11",
			KeyIdentifier: push.NewText(canaryKeyID),
			Identifier:    push.NewText(canaryIdentifier),
		},
	}
}

// journal is a log that remembers everything, and what else the suite saw as text.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// logger returns a logger at debug level that writes here.
func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// note records everything that a caller could print of a result.
func (j *journal) note(o push.Outcome, err error) {
	_, _ = fmt.Fprintf(j, "outcome %+v %#v\n", o, o)
	for ; err != nil; err = errors.Unwrap(err) {
		_, _ = fmt.Fprintf(j, "error %s %+v %#v\n", err, err, err)
	}
}

// requireClean fails the test if a secret of a notification to this pushkey was written.
func (j *journal) requireClean(t *testing.T, key push.Pushkey) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, secret := range canaries(key) {
		require.False(t, bytes.Contains(j.text.Bytes(), []byte(secret)), "canary %d shows in a log or error text", i)
	}
}
