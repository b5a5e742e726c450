package simulator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/certificate"
	"github.com/sideshow/apns2/token"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return text
}

// requireCredentials looks at the files as operators and their programs do.
func requireCredentials(t *testing.T, c Credentials, team, topic, project string) {
	t.Helper()
	require.Equal(t, []string{team, topic, project}, []string{c.APNsTeamID, c.APNsTopic, c.ProjectID})
	for _, file := range []string{c.CAFile, c.APNsKeyFile, c.APNsP12File, c.APNsP12PasswordFile, c.APNsPEMFile, c.ServiceAccountFile, c.VAPIDKeyFile} {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	require.True(t, x509.NewCertPool().AppendCertsFromPEM(read(t, c.CAFile)))
	require.Equal(t, "AuthKey_"+c.APNsKeyID+".p8", filepath.Base(c.APNsKeyFile))
	require.Regexp(t, "^[A-Z0-9]{10}$", c.APNsKeyID)
	_, err := token.AuthKeyFromFile(c.APNsKeyFile)
	require.NoError(t, err)

	password := strings.TrimSpace(string(read(t, c.APNsP12PasswordFile)))
	fromP12, err := certificate.FromP12File(c.APNsP12File, password)
	require.NoError(t, err)
	fromPEM, err := tls.LoadX509KeyPair(c.APNsPEMFile, c.APNsPEMFile)
	require.NoError(t, err)
	require.Equal(t, fromPEM.Certificate, fromP12.Certificate)
	leaf, err := x509.ParseCertificate(fromPEM.Certificate[0])
	require.NoError(t, err)
	require.Equal(t, topic, subjectUID(leaf))
	require.Equal(t, c.APNsCertSerial, serialText(leaf))
	require.Contains(t, string(read(t, c.APNsPEMFile)), "PRIVATE KEY")

	var sa map[string]string
	require.NoError(t, json.Unmarshal(read(t, c.ServiceAccountFile), &sa))
	require.Equal(t, []string{"service_account", project, c.ServiceAccountEmail, c.ServiceAccountKeyID},
		[]string{sa["type"], sa["project_id"], sa["client_email"], sa["private_key_id"]})

	public, err := base64.RawURLEncoding.DecodeString(c.VAPIDPublicKey)
	require.NoError(t, err)
	require.Len(t, public, 65)
	privateKey(t, read(t, c.VAPIDKeyFile))
}

func TestWriteCredentials_Files(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	c, err := r.WriteCredentials(dir)
	require.NoError(t, err)
	requireCredentials(t, c, "PUSHGATE42", "com.example.pushgate.ios", "pushgate-sim")

	_, err = r.WriteCredentials(filepath.Join(c.CAFile, "below a file"))
	require.Error(t, err)
}

// Apple's and Google's callers use these two libraries: what they send is what the simulator must take.
func TestSDKs_apns2(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	c, err := r.WriteCredentials(t.TempDir())
	require.NoError(t, err)
	key, err := token.AuthKeyFromFile(c.APNsKeyFile)
	require.NoError(t, err)
	cert, err := certificate.FromPemFile(c.APNsPEMFile, "")
	require.NoError(t, err)
	for name, client := range map[string]*apns2.Client{
		"token":       apns2.NewTokenClient(&token.Token{AuthKey: key, KeyID: c.APNsKeyID, TeamID: c.APNsTeamID}),
		"certificate": apns2.NewClient(cert),
	} {
		client.Host = r.APNsURL()
		transport := client.HTTPClient.Transport.(*http2.Transport) //nolint:staticcheck // the library's own choice
		cfg := r.clientTLS()
		if old := transport.TLSClientConfig; old != nil { //nolint:staticcheck // as above
			cfg.Certificates = old.Certificates
		}
		transport.TLSClientConfig = cfg //nolint:staticcheck // as above
		n := &apns2.Notification{DeviceToken: testToken, Topic: c.APNsTopic, PushType: apns2.PushTypeAlert, ApnsID: testID, CollapseID: "c", Payload: []byte(testPayload)}
		resp, err := client.Push(n)
		require.NoError(t, err, name)
		require.True(t, resp.Sent(), "%s: %s", name, resp.Reason)
		require.Equal(t, testID, resp.ApnsID)
		require.JSONEq(t, testPayload, string(r.last().Payload))

		r.Script(APNs, testToken, Answer{Reason: "Unregistered"})
		resp, err = client.Push(n)
		require.NoError(t, err)
		require.Equal(t, 410, resp.StatusCode)
		require.Equal(t, apns2.ReasonUnregistered, resp.Reason)
		require.False(t, resp.Timestamp.IsZero())
		client.CloseIdleConnections()
	}
}

func TestSDKs_oauth2(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	c, err := r.WriteCredentials(t.TempDir())
	require.NoError(t, err)
	config, err := google.JWTConfigFromJSON(read(t, c.ServiceAccountFile), scopeMessaging)
	require.NoError(t, err)
	base := r.sender()
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, base)
	client := &http.Client{Transport: &oauth2.Transport{Base: base.Transport, Source: config.TokenSource(ctx)}}
	for range 2 {
		resp, err := client.Post(r.FCMURL()+"/v1/projects/"+c.ProjectID+"/messages:send", "application/json", strings.NewReader(fcmMessage1))
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		resp.Body.Close()
	}
	require.Equal(t, c.ServiceAccountEmail, r.last().KeyID)
	require.EqualValues(t, 1, r.Stats().Services[OAuth].Answers["200"], "one token for both")
}
