package e2e

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/simulator"
)

// phone is an app's side of the key chain, written from gemF_PushNotification alone: it shares no code with
// internal/monthkey, and HKDF (RFC 5869) is done by hand.
type phone struct {
	app, key, keyID string
	iss             string // 32 bytes in hex
	created         string // month of the first generation
}

// newPhone makes a device of an app. Its chain begins in the month created.
func newPhone(app, key, created string) phone {
	iss := sha256.Sum256([]byte("iss of " + key))
	id := sha256.Sum256([]byte("key identifier of " + key))
	return phone{app: app, key: key, iss: hex.EncodeToString(iss[:]), created: created, keyID: fmt.Sprintf("%X-%X-%X-%X-%X", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])}
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

// keyOf walks the chain from its first month: 64 bytes a step, the first half for the next step, the second for AES.
func (p phone) keyOf(month string) ([]byte, error) {
	secret, err := hex.DecodeString(p.iss)
	if err != nil {
		return nil, err
	}
	at, err := time.Parse("2006-01", p.created)
	if err != nil {
		return nil, err
	}
	for ; at.Format("2006-01") <= month; at = at.AddDate(0, 1, 0) {
		info := at.Format("2006-01")
		prk := mac(make([]byte, 32), secret)
		first := mac(prk, append([]byte(info), 1))
		second := mac(prk, append(append([]byte{}, first...), append([]byte(info), 2)...))
		if info == month {
			return second, nil
		}
		secret = first
	}
	return nil, fmt.Errorf("the chain of %s has no %s", p.created, month)
}

// parcel is what reaches an app beside what the provider's own members say.
type parcel struct {
	Ciphertext string `json:"ciphertext"`
	Month      string `json:"time_message_encrypted"`
	KeyID      string `json:"key_identifier"`
	Identifier string `json:"identifier"`
}

// unpack finds it in the payload of either provider.
func unpack(r simulator.Receipt) (parcel, error) {
	var body struct {
		parcel
		Message struct {
			Data parcel `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(r.Payload, &body); err != nil {
		return parcel{}, err
	}
	if r.Service == simulator.FCM {
		return body.Message.Data, nil
	}
	return body.parcel, nil
}

// open decrypts one arrival as the app would, and refuses whatever the specification does not allow.
func (p phone) open(r simulator.Receipt) (string, error) {
	in, err := unpack(r)
	if err != nil {
		return "", err
	}
	if in.KeyID != p.keyID || len(in.Ciphertext) != 1404 {
		return "", fmt.Errorf("another key identifier, or %d characters", len(in.Ciphertext))
	}
	key, err := p.keyOf(in.Month)
	if err != nil {
		return "", err
	}
	raw, err := base64.StdEncoding.DecodeString(in.Ciphertext)
	if err != nil {
		return "", err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return "", err
	}
	frame, err := gcm.Open(nil, raw[:12], raw[12:], nil)
	if err != nil {
		return "", err
	}
	if len(frame) != 1024 || string(frame[:4]) != "PNM1" {
		return "", fmt.Errorf("a frame of %d bytes", len(frame))
	}
	padding := int(binary.BigEndian.Uint16(frame[4:6]))
	if padding > 1018 || strings.Trim(string(frame[6:6+padding]), " ") != "" {
		return "", fmt.Errorf("%d bytes of padding", padding)
	}
	return string(frame[6+padding:]), nil
}

// reads is open for an arrival that must be readable.
func (p phone) reads(t testing.TB, r simulator.Receipt) string {
	t.Helper()
	text, err := p.open(r)
	require.NoError(t, err)
	return text
}

// TestPhone_KnowsThePublishedKeys keeps the reader of these tests honest.
func TestPhone_KnowsThePublishedKeys(t *testing.T) {
	t.Parallel()
	p := phone{iss: "f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2", created: "2023-10"}
	for month, want := range map[string]string{
		"2023-10": "3b4adcd58dea98db8e9cb0f5763fcd04fe932d67926cc04b20ba2a2f304ffff9",
		"2023-11": "39aa5dacd538f53f4b956d84c9b8f2e26933274d160b9fd1a263a27681c6331b",
		"2024-01": "b4fd959856cfcff43d3ad09e5cf29429dfab590fbebd1841db03ef550ffc2a22",
	} {
		key, err := p.keyOf(month)
		require.NoError(t, err)
		require.Equal(t, want, hex.EncodeToString(key), month)
	}
}
