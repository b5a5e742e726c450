package importer

import (
	"strings"
)

// referenceEnv are the environment variables of the gematik reference gateway, and what became of each.
var referenceEnv = [][2]string{ //nolint:gochecknoglobals // a constant table
	{"PUSH_CONFIG_FILE", "pushgate serve --config FILE names the file"},
	{"APP_MODE", "one process does both jobs of PRODUCER and CONSUMER"},
	{"JMS_BROKER_URL", "there is no broker; the queue is in data_dir (SQLite) or in PostgreSQL (storage.url)"},
	{"JMS_USERNAME", "there is no broker"},
	{"JMS_PASSWORD", "there is no broker"},
	{"POSTGRES_URL", "storage.url takes postgres://user@host/database; the table rejected_push_keys is not taken over: the next answer of a provider tells again"},
	{"POSTGRES_USERNAME", "is part of storage.url"},
	{"POSTGRES_PASSWORD", "is part of storage.url or of PostgreSQL's password file"},
	{"LOG_LEVEL", "log.level; no level shows a pushkey"},
	{"GATLING_ENABLED", "pushgate simulate stands in for the providers"},
}

// appleHosts maps the reference's server names to environments.
var appleHosts = map[string]string{ //nolint:gochecknoglobals // a constant table
	"":                               "production",
	"api.push.apple.com":             "production",
	"api.sandbox.push.apple.com":     "sandbox",
	"api.development.push.apple.com": "sandbox",
}

// Gematik converts the PUSH_CONFIG_FILE of the gematik reference push gateway (1.0.0).
func Gematik(text []byte) (Result, error) {
	var notes []Note
	file, err := parse(text, &notes)
	if err != nil {
		return Result{}, err
	}
	t := target{
		Roles:   []string{"gateway"},
		DataDir: dataDir,
		Listen:  listen{Public: "0.0.0.0:8080", Admin: "127.0.0.1:8081", BehindProxy: true},
		Gateway: gateway{Gematik: true, UnknownAppID: "fail"}, Badges: true,
	}
	pushSection := file.sub("push")
	for _, s := range pushSection.subs("apns") {
		t.Apps = append(t.Apps, referenceAPNs(s)...)
		s.rest()
	}
	for _, s := range pushSection.subs("firebase") {
		t.Apps = append(t.Apps, referenceFirebase(s)...)
		s.rest()
	}
	pushSection.rest()
	file.rest()
	t.overlaps(&notes)
	notes = append(notes,
		Note{Key: "receivingAppIds", Text: "an app_id that is not configured fails and is never reported as rejected (unknown_app_id: fail)"},
		Note{Key: "(retries)", Text: "what a provider cannot take now is queued in data_dir for up to gateway.retention (24 h): the reference loses it, or redelivers it without end"},
		Note{Key: "(port 8080)", Text: "listen.public answers plain HTTP on all addresses, as the reference does behind its ingress, and behind_mtls_proxy says " +
			"that the ingress checks the client certificate; to check it here use listen.tls with client_ca_file and require_client_cert"},
		Note{Key: "(port 8081)", Text: "health and metrics are at /healthz, /readyz and /metrics of listen.admin, on this machine only"})
	for _, e := range referenceEnv {
		notes = append(notes, Note{Key: "$" + e[0], Text: e[1]})
	}
	res := Result{Notes: notes}
	res.YAML, err = t.write("Converted from a gematik reference gateway configuration. An unknown app_id fails, it is never rejected.")
	return res, err
}

// enabled reads the switch of an entry; the reference leaves disabled ones out.
func enabled(s *source) bool {
	if s.flag("enabled", true) {
		return true
	}
	s.note("enabled", "is false: the entry was left out")
	for _, name := range s.names() {
		s.seen[name] = true
	}
	return false
}

func referenceAPNs(s *source) []app {
	if !enabled(s) {
		return nil
	}
	a := apns{Topic: s.text("bundleId")}
	server := strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(s.text("server")), "https://"), ":443")
	environment, known := appleHosts[server]
	a.Environment = environment
	if !known {
		a.Environment, a.Endpoint = "production", "https://"+server
		s.note("server", "is not Apple's: written as endpoint; add ca_file if its certificate is not a public one")
	}
	token, cert := s.sub("tokenAuth"), s.sub("certificateAuth")
	switch method := strings.ToUpper(s.text("authMethod")); method {
	case "TOKEN":
		a.KeyFile, a.KeyID, a.TeamID = token.text("token"), token.text("keyId"), token.text("teamId")
		cert.dropped("authMethod is TOKEN", cert.names()...)
	case "CERTIFICATE":
		a.CertFile, a.CertPasswordFile = cert.text("certificatePath"), cert.text("passwordPath")
		token.dropped("authMethod is CERTIFICATE", token.names()...)
	default:
		s.note("authMethod", "is neither TOKEN nor CERTIFICATE: add credentials by hand")
	}
	token.rest()
	cert.rest()
	return appsFor(s, func(id string) app { one := a; return app{AppID: id, APNs: &one} })
}

func referenceFirebase(s *source) []app {
	if !enabled(s) {
		return nil
	}
	f := fcm{ProjectID: s.text("projectId"), ServiceAccountFile: s.text("credentialsPath")}
	return appsFor(s, func(id string) app { one := f; return app{AppID: id, FCM: &one} })
}

// appsFor makes one entry for each app id that an entry of the reference receives.
func appsFor(s *source, make func(id string) app) []app {
	ids := s.texts("receivingAppIds")
	if len(ids) == 0 {
		s.note("receivingAppIds", "is empty: the entry was left out, pushgate routes by app_id")
	}
	var apps []app
	for _, id := range ids {
		apps = append(apps, make(id))
	}
	return apps
}
