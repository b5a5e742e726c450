package fcm

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// minKeyBits is what Google issues; anything shorter is not a Google key.
const minKeyBits = 2048

// account is what we read of a service account file. The rest of it is Google's business.
type account struct {
	Type           string `json:"type"`
	ClientEmail    string `json:"client_email"`
	PrivateKey     string `json:"private_key"`
	TokenURI       string `json:"token_uri"`
	UniverseDomain string `json:"universe_domain"`
}

// checkAccount reports what is wrong with a service account file. No report quotes the file.
func checkAccount(raw []byte, simulated bool, report func(problem string)) {
	var a account
	if err := json.Unmarshal(raw, &a); err != nil {
		report("is not the JSON key file of a service account")
		return
	}
	if a.Type != "service_account" {
		report(`is not a service account (its type is not "service_account")`)
	}
	if a.ClientEmail == "" {
		report("has no client_email")
	}
	if err := checkKey(a.PrivateKey); err != nil {
		report(err.Error())
	}
	if err := checkTokenURI(a.TokenURI, simulated); err != nil {
		report(err.Error())
	}
	if a.UniverseDomain != "" && a.UniverseDomain != "googleapis.com" {
		report("belongs to another universe_domain than googleapis.com")
	}
}

func checkKey(text string) error {
	if text == "" {
		return errors.New("has no private_key")
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return errors.New("private_key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if key, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			return errors.New("private_key cannot be parsed")
		}
	}
	rsaKey, ok := key.(*rsa.PrivateKey)
	if !ok {
		return errors.New("private_key is not an RSA key")
	}
	if rsaKey.N.BitLen() < minKeyBits {
		return fmt.Errorf("private_key has fewer than %d bits", minKeyBits)
	}
	return nil
}

// checkTokenURI pins the token endpoint to Google: whoever can change it collects assertions signed with the key.
// Only a simulator's endpoint lifts that. Empty means Google's default.
func checkTokenURI(uri string, simulated bool) error {
	if uri == "" {
		return nil
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return errors.New("token_uri is not an https URL")
	}
	if simulated {
		return nil
	}
	host := strings.ToLower(u.Hostname())
	if host != "accounts.google.com" && !strings.HasSuffix(host, ".googleapis.com") || u.Port() != "" && u.Port() != "443" {
		return errors.New("token_uri is not one of Google's hosts")
	}
	return nil
}

const (
	// scope is all that sending needs; the SDK's own list would ask for databases and storage too.
	scope = "https://www.googleapis.com/auth/firebase.messaging"
	// fetchTimeout bounds one request to the token endpoint.
	fetchTimeout = 10 * time.Second
)

// tokenSource returns a function that fetches one new access token for the service account.
func tokenSource(path string, cfg *tls.Config, dial dialFunc) (func() (*oauth2.Token, error), error) {
	raw, err := readFile(path)
	if err != nil {
		return nil, err
	}
	account, err := google.JWTConfigFromJSON(raw, scope)
	if err != nil {
		return nil, errors.New("cannot be used") // the cause may quote the file
	}
	base := &http.Transport{
		DialContext:         dial,
		TLSClientConfig:     cfg,
		TLSHandshakeTimeout: fetchTimeout,
		DisableKeepAlives:   true, // asked once an hour
	}
	return func() (*oauth2.Token, error) {
		way := &recorder{base: base}
		client := &http.Client{Timeout: fetchTimeout, Transport: way, CheckRedirect: stayHere}
		// A new source each time: keeping the token is tokens' work.
		token, err := account.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, client)).Token()
		switch {
		case way.err != nil:
			return nil, way.err
		case err == nil && token.AccessToken == "":
			return nil, errors.New("token endpoint answered without a token")
		default:
			return token, err
		}
	}, nil
}

// stayHere keeps the signed assertion from going where a redirect points.
func stayHere(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// recorder keeps the error of one request: x/oauth2 hands on its text only.
type recorder struct {
	base http.RoundTripper
	err  error
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.base.RoundTrip(req)
	r.err = err
	return resp, err
}
