package simulator

import (
	"context"
	"errors"
)

// Simulator is a running set of services. All methods are safe for concurrent use.
type Simulator struct{ opts Options }

var errBuilding = errors.New("simulator: being built")

// Start opens all listeners and serves until Close.
func Start(_ Options) (*Simulator, error) { return nil, errBuilding }

// Close ends all services and waits for their goroutines.
func (s *Simulator) Close() error { return nil }

// APNsURL is https://host:port of APNs, what apns.endpoint takes.
func (s *Simulator) APNsURL() string { return "" }

// FCMURL is https://host:port of FCM, what fcm.endpoint takes; the API lies below /v1/.
func (s *Simulator) FCMURL() string { return "" }

// TokenURL is the OAuth token endpoint, what a service account's token_uri names.
func (s *Simulator) TokenURL() string { return "" }

// WebPushURL is https://host:port of the Web Push service; endpoints lie below /push/.
func (s *Simulator) WebPushURL() string { return "" }

// ControlURL is http://host:port of the control API.
func (s *Simulator) ControlURL() string { return "" }

// CAPEM is the authority that signed the servers' certificates.
func (s *Simulator) CAPEM() []byte { return nil }

// Credentials are files in the shape operators have, and what they hold. All of them are trusted until revoked.
type Credentials struct {
	CAFile string `json:"ca_file"`

	APNsKeyFile         string `json:"apns_key_file"`
	APNsKeyID           string `json:"apns_key_id"`
	APNsTeamID          string `json:"apns_team_id"`
	APNsTopic           string `json:"apns_topic"` // the certificate's topic
	APNsP12File         string `json:"apns_p12_file"`
	APNsP12PasswordFile string `json:"apns_p12_password_file"`
	APNsPEMFile         string `json:"apns_pem_file"`    // certificate and key in one file
	APNsCertSerial      string `json:"apns_cert_serial"` // hex
	ServiceAccountFile  string `json:"service_account_file"`
	ServiceAccountKeyID string `json:"service_account_key_id"`
	ProjectID           string `json:"project_id"`
	VAPIDKeyFile        string `json:"vapid_key_file"`
	VAPIDPublicKey      string `json:"vapid_public_key"` // base64url, what a browser calls applicationServerKey
}

// CredentialOptions name what credentials are for; the zero value takes the names that `pushgate dev` uses.
type CredentialOptions struct {
	TeamID    string `json:"team_id,omitempty"`
	Topic     string `json:"topic,omitempty"`
	ProjectID string `json:"project_id,omitempty"`
}

// WriteCredentials makes a fresh set of credentials, trusts them beside those made before, and writes them to dir.
func (s *Simulator) WriteCredentials(_ string) (Credentials, error) {
	return Credentials{}, errBuilding
}

// WriteCredentialsFor is WriteCredentials with names of one's own.
func (s *Simulator) WriteCredentialsFor(_ string, _ CredentialOptions) (Credentials, error) {
	return Credentials{}, errBuilding
}

// Revoke stops trusting one credential: an APNs key id, a certificate's serial number, a service account's private
// key id (its access tokens die with it) or a VAPID public key.
func (s *Simulator) Revoke(_ string) error { return errBuilding }

// RevokeAccessTokens makes every OAuth access token issued so far invalid; FCM answers 401 to them.
func (s *Simulator) RevokeAccessTokens() {}

// Script sets the answers for one token (or AnyToken), replacing what was scripted for it: each stands for
// Answer.Times requests, then the service is healthy again. No answers clear the script. The token of OAuth is the
// service account's e-mail address, the one of Web Push the subscription's id or endpoint. A request that breaks a
// rule is refused by that rule and uses up no scripted answer.
func (s *Simulator) Script(_ Service, _ string, _ ...Answer) {}

// SetConditions says how a service behaves from now on.
func (s *Simulator) SetConditions(_ Service, _ Conditions) error { return errBuilding }

// SetRules replaces Options.Rules.
func (s *Simulator) SetRules(_ Rules) {}

// GoAway says goodbye to every HTTP/2 connection of a service.
func (s *Simulator) GoAway(_ Service, _ GoAway) {}

// Disconnect resets every connection of a service.
func (s *Simulator) Disconnect(_ Service) {}

// Receipts returns the whole log.
func (s *Simulator) Receipts() []Receipt { return nil }

// ReceiptsSince returns at most limit receipts with a Seq above seq (limit 0: all that are kept).
func (s *Simulator) ReceiptsSince(_ uint64, _ int) []Receipt { return nil }

// WaitReceipts waits until n notifications in all were answered or broken since the start or Reset, and returns the log.
func (s *Simulator) WaitReceipts(_ context.Context, _ int) ([]Receipt, error) {
	return nil, errBuilding
}

// WaitDelivered waits until n notifications in all were delivered, and returns the log.
func (s *Simulator) WaitDelivered(_ context.Context, _ int) ([]Receipt, error) {
	return nil, errBuilding
}

// Reset forgets receipts, scripts and counts and makes every service healthy; credentials and subscriptions stay.
func (s *Simulator) Reset() error { return errBuilding }

// Subscription is what a browser hands to a web app: PushSubscription.toJSON() in plain fields.
type Subscription struct {
	ID       string `json:"id"`
	Endpoint string `json:"endpoint"`
	P256DH   string `json:"p256dh"` // base64url, 65 bytes
	Auth     string `json:"auth"`   // base64url, 16 bytes
}

// SubscribeOptions say how a browser subscribes.
type SubscribeOptions struct {
	// VAPIDPublicKey restricts the subscription to one application server (RFC 8292 section 4); empty allows any.
	VAPIDPublicKey string `json:"vapid_public_key,omitempty"`
	// PrivateKey (base64url, 32 bytes) and Auth (base64url, 16 bytes) are keys made elsewhere, for instance by a
	// browser's WebCrypto; empty makes fresh ones.
	PrivateKey string `json:"private_key,omitempty"`
	Auth       string `json:"auth,omitempty"`
}

// Subscribe makes a Web Push subscription whose keys the simulator knows.
func (s *Simulator) Subscribe(_ SubscribeOptions) (Subscription, error) {
	return Subscription{}, errBuilding
}
