package api

import "net/http"

// ClientCertificate returns the subject alternative names (DNS names, then URIs) of the caller's certificate, and whether
// there is one that the TLS listener verified against its client CA. A certificate that was only presented does not count.
func ClientCertificate(r *http.Request) (names []string, verified bool) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return nil, false
	}
	leaf := r.TLS.VerifiedChains[0][0]
	names = append(names, leaf.DNSNames...)
	for _, u := range leaf.URIs {
		names = append(names, u.String())
	}
	return names, true
}
