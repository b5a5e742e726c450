package dispatch_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// phone is the app's side of the key chain, written anew from gemF_PushNotification and sharing no code with
// internal/monthkey: HMAC, AES and the frame by hand.
type phone struct {
	secret []byte // of month
	month  time.Time
	keys   map[string][]byte
}

// newPhone derives the first month from the ISS in hex.
func newPhone(iss, created string) *phone {
	ikm, err := hex.DecodeString(iss)
	if err != nil {
		panic(err)
	}
	month, err := time.Parse("2006-01", created)
	if err != nil {
		panic(err)
	}
	p := &phone{secret: ikm, month: month.AddDate(0, -1, 0), keys: map[string][]byte{}}
	p.step()
	return p
}

func (p *phone) step() {
	p.month = p.month.AddDate(0, 1, 0)
	info := p.month.Format("2006-01")
	extract := hmac.New(sha256.New, make([]byte, 32))
	extract.Write(p.secret)
	prk := extract.Sum(nil)
	var out, last []byte
	for i := byte(1); len(out) < 64; i++ {
		expand := hmac.New(sha256.New, prk)
		expand.Write(last)
		expand.Write([]byte(info))
		expand.Write([]byte{i})
		last = expand.Sum(nil)
		out = append(out, last...)
	}
	p.secret, p.keys[info] = out[:32], out[32:64]
}

// open decrypts what arrived, stepping to its month (A_27179).
func (p *phone) open(ciphertext, month string) (string, error) {
	if len(ciphertext) != 1404 {
		return "", fmt.Errorf("%d characters", len(ciphertext))
	}
	for p.keys[month] == nil {
		if p.month.Format("2006-01") >= month {
			return "", fmt.Errorf("no key for %s", month)
		}
		p.step()
	}
	raw, err := base64.StdEncoding.DecodeString(ciphertext)
	if err != nil {
		return "", err
	}
	block, err := aes.NewCipher(p.keys[month])
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
	if len(frame) != 1024 || !bytes.HasPrefix(frame, []byte("PNM1")) {
		return "", fmt.Errorf("a frame of %d bytes", len(frame))
	}
	return string(frame[6+int(binary.BigEndian.Uint16(frame[4:6])):]), nil
}
