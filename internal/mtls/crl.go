package mtls

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"time"
)

// crlGrace is how long a revocation list is still believed after its nextUpdate: authorities publish late, and the
// alternative is to refuse every caller of an authority that slept in.
const crlGrace = 24 * time.Hour

// The ways a chain fails the lists. The texts are fixed: they reach the log, and nothing of the certificate does.
var (
	errRevoked   = errors.New("certificate is revoked")
	errNoList    = errors.New("no revocation list from the certificate's issuer")
	errOldList   = errors.New("revocation list is outdated")
	errForged    = errors.New("revocation list is not signed by the certificate's issuer")
	errNoChain   = errors.New("no verified chain")
	errUntrusted = errors.New("certificate is not from a trusted authority")
)

// revocations are the lists of one file, by issuer.
type revocations struct {
	lists []revocationList
}

type revocationList struct {
	list    *x509.RevocationList
	serials map[string]struct{} // big-endian bytes
}

// loadRevocations reads one or more lists: PEM blocks, or a single DER list.
func loadRevocations(file string) (*revocations, error) {
	const key = "crl_file"
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, unreadable(key, err)
	}
	var ders [][]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "X509 CRL" {
			ders = append(ders, block.Bytes)
		}
	}
	if len(ders) == 0 && !bytes.Contains(text, []byte("-----BEGIN")) {
		ders = append(ders, text)
	}
	if len(ders) == 0 {
		return nil, &fileError{key: key, problem: "holds no revocation list"}
	}
	r := &revocations{}
	for _, der := range ders {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, &fileError{key, "holds a revocation list that cannot be read", err}
		}
		if partial(list) {
			return nil, &fileError{key: key, problem: "holds a partial revocation list (it has a critical extension)"}
		}
		r.lists = append(r.lists, index(list))
	}
	return r, nil
}

// partial reports whether a list must not be taken for the whole truth: deltas and partitions say so in a critical
// extension (RFC 5280, 5.2).
func partial(list *x509.RevocationList) bool {
	for _, e := range list.Extensions {
		if e.Critical {
			return true
		}
	}
	return false
}

func index(list *x509.RevocationList) revocationList {
	serials := make(map[string]struct{}, len(list.RevokedCertificateEntries))
	for _, e := range list.RevokedCertificateEntries {
		serials[string(e.SerialNumber.Bytes())] = struct{}{}
	}
	return revocationList{list, serials}
}

// thisUpdate and nextUpdate are those of the oldest list: the one that needs looking after first.
func (r *revocations) thisUpdate() time.Time {
	var oldest time.Time
	for _, l := range r.lists {
		if oldest.IsZero() || l.list.ThisUpdate.Before(oldest) {
			oldest = l.list.ThisUpdate
		}
	}
	return oldest
}

func (r *revocations) nextUpdate() time.Time {
	var first time.Time
	for _, l := range r.lists {
		if first.IsZero() || l.list.NextUpdate.Before(first) {
			first = l.list.NextUpdate
		}
	}
	return first
}

// check accepts the certificate when one of its chains has no revoked link.
func (r *revocations) check(chains [][]*x509.Certificate, now time.Time) error {
	err := errNoChain
	for _, chain := range chains {
		if err = r.checkChain(chain, now); err == nil {
			return nil
		}
	}
	return err
}

// checkChain asks for each certificate below the trust anchor, which nobody can revoke.
func (r *revocations) checkChain(chain []*x509.Certificate, now time.Time) error {
	for i := range len(chain) - 1 {
		if err := r.checkLink(chain[i], chain[i+1], now); err != nil {
			return err
		}
	}
	return nil
}

// checkLink passes when a current list of the issuer does not name the certificate. One list that names it is enough
// to refuse, even an outdated one.
func (r *revocations) checkLink(cert, issuer *x509.Certificate, now time.Time) error {
	err := errNoList
	current := false
	for _, l := range r.lists {
		if !bytes.Equal(l.list.RawIssuer, issuer.RawSubject) {
			continue
		}
		if l.list.CheckSignatureFrom(issuer) != nil {
			if errors.Is(err, errNoList) {
				err = errForged
			}
			continue
		}
		if _, revoked := l.serials[string(cert.SerialNumber.Bytes())]; revoked {
			return errRevoked
		}
		if next := l.list.NextUpdate; next.IsZero() || now.After(next.Add(crlGrace)) {
			err = errOldList
			continue
		}
		current = true
	}
	if current {
		return nil
	}
	return err
}
