// Package pkcs12 writes a certificate and its key as a .p12 file (RFC 7292), in the old-fashioned encryption that
// Keychain exports and that every reader understands: SHA-1, 3DES.
//
// It only writes, and only throw-away keys: the algorithms protect nothing worth protecting.
package pkcs12

import (
	"bytes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"unicode/utf16"
)

const iterations = 2048

// The diversifiers of RFC 7292 appendix B.3.
const (
	forKey byte = 1 + iota
	forIV
	forMAC
)

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,tag:0"`
}

type encryptedData struct {
	Version int
	Content struct {
		Type      asn1.ObjectIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Encrypted asn1.RawValue
	}
}

type shroudedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Encrypted []byte
}

type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue `asn1:"set"`
}

type safeBag struct {
	Type       asn1.ObjectIdentifier
	Value      asn1.RawValue `asn1:"explicit,tag:0"`
	Attributes []attribute   `asn1:"set,omitempty"`
}

type certBag struct {
	Type asn1.ObjectIdentifier
	Data []byte `asn1:"explicit,tag:0"`
}

type macData struct {
	Digest struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	Salt       []byte
	Iterations int
}

type pfx struct {
	Version  int
	AuthSafe contentInfo
	Mac      macData
}

type pbeParameters struct {
	Salt       []byte
	Iterations int
}

func pkcs(rest ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 2, 840, 113549, 1}, rest...)
}

// Encode puts a certificate (DER) and its private key (PKCS #8, DER) under a password.
func Encode(certificate, privateKey []byte, password string) ([]byte, error) {
	e := encoder{password: bmp(password), keyID: sha1.Sum(certificate)}
	safe := e.marshal([]contentInfo{e.certificates(certificate), e.keys(privateKey)})
	salt := e.random(8)
	mac := hmac.New(sha1.New, e.derive(forMAC, salt, sha1.Size))
	mac.Write(safe)
	out := pfx{Version: 3, AuthSafe: e.data(safe), Mac: macData{Salt: salt, Iterations: iterations}}
	out.Mac.Digest.Algorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, Parameters: asn1.NullRawValue}
	out.Mac.Digest.Digest = mac.Sum(nil)
	file := e.marshal(out)
	if e.err != nil {
		return nil, fmt.Errorf("encode .p12: %w", e.err)
	}
	return file, nil
}

// encoder keeps the first error, so that the structure can be written down straight.
type encoder struct {
	password []byte
	keyID    [sha1.Size]byte
	err      error
}

func (e *encoder) marshal(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil && e.err == nil {
		e.err = err
	}
	return der
}

func (e *encoder) random(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil && e.err == nil {
		e.err = err
	}
	return b
}

// data is a ContentInfo of type data (PKCS #7).
func (e *encoder) data(content []byte) contentInfo {
	return contentInfo{pkcs(7, 1), asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: e.marshal(content)}}
}

func (e *encoder) certificates(certificate []byte) contentInfo {
	bag := e.bag(pkcs(12, 10, 1, 3), e.marshal(certBag{pkcs(9, 22, 1), certificate}))
	algorithm, encrypted := e.encrypt(e.marshal([]safeBag{bag}))
	var d encryptedData
	d.Content.Type, d.Content.Algorithm = pkcs(7, 1), algorithm
	d.Content.Encrypted = asn1.RawValue{Class: 2, Tag: 0, Bytes: encrypted}
	return contentInfo{pkcs(7, 6), asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: e.marshal(d)}}
}

func (e *encoder) keys(privateKey []byte) contentInfo {
	algorithm, encrypted := e.encrypt(privateKey)
	bag := e.bag(pkcs(12, 10, 1, 2), e.marshal(shroudedKey{algorithm, encrypted}))
	return e.data(e.marshal([]safeBag{bag}))
}

// bag ties certificate and key together by the localKeyID attribute.
func (e *encoder) bag(kind asn1.ObjectIdentifier, value []byte) safeBag {
	id := asn1.RawValue{Class: 0, Tag: asn1.TagSet, IsCompound: true, Bytes: e.marshal(e.keyID[:])}
	return safeBag{
		Type: kind, Value: asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: value},
		Attributes: []attribute{{Type: pkcs(9, 21), Value: id}},
	}
}

// encrypt is pbeWithSHAAnd3-KeyTripleDES-CBC.
func (e *encoder) encrypt(plain []byte) (pkix.AlgorithmIdentifier, []byte) {
	salt := e.random(8)
	block, err := des.NewTripleDESCipher(e.derive(forKey, salt, 24))
	if err != nil {
		e.err = err
		return pkix.AlgorithmIdentifier{}, nil
	}
	pad := des.BlockSize - len(plain)%des.BlockSize
	out := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, e.derive(forIV, salt, des.BlockSize)).CryptBlocks(out, out)
	parameters := asn1.RawValue{FullBytes: e.marshal(pbeParameters{salt, iterations})}
	return pkix.AlgorithmIdentifier{Algorithm: pkcs(12, 1, 3), Parameters: parameters}, out
}

// derive is the key derivation of RFC 7292 appendix B.2 with SHA-1 (u = 20, v = 64).
func (e *encoder) derive(purpose byte, salt []byte, size int) []byte {
	const v = 64
	diversifier := bytes.Repeat([]byte{purpose}, v)
	input := append(fill(salt, v), fill(e.password, v)...)
	var out []byte
	for len(out) < size {
		a := sha1.Sum(append(bytes.Clone(diversifier), input...))
		for range iterations - 1 {
			a = sha1.Sum(a[:])
		}
		out = append(out, a[:]...)
		b := new(big.Int).SetBytes(fill(a[:], v)[:v])
		b.Add(b, big.NewInt(1))
		for i := 0; i < len(input); i += v {
			sum := new(big.Int).SetBytes(input[i : i+v])
			sum.Add(sum, b).Mod(sum, new(big.Int).Lsh(big.NewInt(1), v*8))
			sum.FillBytes(input[i : i+v])
		}
	}
	return out[:size]
}

// fill repeats b up to a multiple of v bytes.
func fill(b []byte, v int) []byte {
	if len(b) == 0 {
		return nil
	}
	n := (len(b) + v - 1) / v * v
	return bytes.Repeat(b, n/len(b)+1)[:n]
}

// bmp is a password as UTF-16 with a closing zero (appendix B.1).
func bmp(password string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(password)) {
		out = append(out, byte(u>>8), byte(u))
	}
	return append(out, 0, 0)
}
