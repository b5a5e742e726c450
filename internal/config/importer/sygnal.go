package importer

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	provider "github.com/pushgate/pushgate/internal/provider/apns"
)

// proxyPasswordFile is the name of the file for a password that Sygnal's proxy URL held inline.
const proxyPasswordFile = "proxy-password"

// dataDir is where the queue and its key go, beside the configuration.
const dataDir = "data"

// The admin listener without metrics settings, and where it goes when Sygnal's own port is there.
const (
	adminAddress      = "127.0.0.1:8081"
	otherAdminAddress = "127.0.0.1:8082"
	adminPort         = 8081
)

// sygnalTTL is how long Sygnal asks a Web Push service to keep a message when the file does not say.
const sygnalTTL = 900

// Sygnal converts a sygnal.yaml (releases 0.9 to 0.17).
func Sygnal(text []byte) (Result, error) {
	var notes []Note
	file, err := parse(text, &notes)
	if err != nil {
		return Result{}, err
	}
	res := Result{Files: map[string]string{}}
	t := target{Roles: []string{"gateway"}, DataDir: dataDir, Gateway: gateway{Matrix: true, UnknownAppID: "fail"}, Badges: true}
	t.Listen = sygnalListen(file)
	t.Log = sygnalLog(file.sub("log"), &t.Listen)
	sygnalMetrics(file.sub("metrics"), &t.Listen)
	t.Egress = sygnalProxy(file, res.Files)
	file.dropped("Sygnal itself ignores it; pushgate keeps its queue in data_dir or PostgreSQL (storage.url)", "db", "database")
	sygnalApps(file.sub("apps"), &t)
	file.rest()
	t.overlaps(&notes)
	notes = append(notes, Note{Key: "(files)", Text: "relative paths are relative to this file, Sygnal's are relative to its working directory; the queue and its key live in data_dir"},
		Note{Key: "apps", Text: "an app_id that is not configured fails and is never reported as rejected (unknown_app_id: fail); " +
			"Sygnal rejects it, which deletes the pusher. unknown_app_id: reject restores that"})
	res.Notes = notes
	res.YAML, err = t.write("Converted from a Sygnal configuration. An unknown app_id no longer deletes pushers (unknown_app_id).")
	return res, err
}

func sygnalListen(file *source) listen {
	http := file.sub("http")
	port := 5000
	if n, ok := http.number("port"); ok {
		port = n
	}
	host := "127.0.0.1"
	if hosts := http.texts("bind_addresses"); len(hosts) > 0 {
		host = hosts[0]
		for _, h := range hosts {
			if everywhere(h) {
				host = h
			}
		}
		if len(hosts) > 1 {
			http.note("bind_addresses", "only %q is used: pushgate has one plain listener; an empty host or 0.0.0.0 listens on all", host)
		}
	}
	http.rest()
	l := listen{Public: net.JoinHostPort(host, strconv.Itoa(port)), Admin: adminAddress}
	if port == adminPort {
		l.Admin = otherAdminAddress
	}
	return l
}

// everywhere reports whether a bind address means all of them.
func everywhere(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

func sygnalLog(log *source, l *listen) *logTarget {
	setup := log.sub("setup")
	root := setup.sub("root")
	level := root.text("level")
	root.dropped("logs are one JSON or text line per event on standard error", "handlers", "filters", "propagate")
	root.rest()
	setup.dropped("logs are one JSON or text line per event on standard error", "version", "formatters", "filters", "handlers", "loggers", "disable_existing_loggers", "incremental")
	setup.rest()
	access := log.sub("access")
	if access.flag("x_forwarded_for", false) {
		l.TrustedProxies = []string{"127.0.0.1", "::1"}
		access.note("x_forwarded_for", "X-Forwarded-For is read only from listen.trusted_proxies: set to this machine, name your reverse proxy if it is elsewhere")
	}
	access.dropped("Sygnal does not use it; request lines are part of the log", "file", "enabled")
	access.rest()
	log.rest()
	word, known := map[string]string{
		"DEBUG": "debug", "INFO": "info", "WARNING": "warn", "WARN": "warn", "ERROR": "error", "CRITICAL": "error", "FATAL": "error", "NOTSET": "debug",
	}[strings.ToUpper(level)]
	if !known {
		if level != "" {
			root.note("level", "%q is not a level pushgate has; info is used", level)
		}
		return nil
	}
	return &logTarget{Level: word}
}

func sygnalMetrics(metrics *source, l *listen) {
	p := metrics.sub("prometheus")
	host, port := "127.0.0.1", 8000
	if p.has("address") {
		host = p.text("address")
	}
	if n, ok := p.number("port"); ok {
		port = n
	}
	if p.flag("enabled", false) {
		l.Admin = net.JoinHostPort(host, strconv.Itoa(port))
		p.note("enabled", "metrics are at /metrics of listen.admin (Sygnal serves them on every path), beside /healthz and /readyz; the names differ, see deploy/README.md")
		if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.IsLoopback()) {
			l.AdminRemote = true
			p.note("address", "is reachable from other machines: admin_allow_remote says that this is meant; the page is read-only and knows no callers")
		}
	}
	p.rest()
	tracing := metrics.sub("opentracing")
	tracing.dropped("there is no tracing; X-Request-Id ties a request's log lines together", "enabled", "implementation", "jaeger", "service_name")
	tracing.rest()
	sentry := metrics.sub("sentry")
	sentry.dropped("nothing is sent to third parties; errors are in the log and the metrics", "enabled", "dsn")
	sentry.rest()
	metrics.rest()
}

func sygnalProxy(file *source, files map[string]string) *egress {
	value := file.text("proxy")
	if value == "" {
		file.note("proxy", "is not set: as with Sygnal HTTPS_PROXY and NO_PROXY count for APNs and FCM; Web Push uses egress.proxy only")
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		file.note("proxy", "is not http://[user:password@]host[:port] and was left out")
		return nil
	}
	e := &egress{}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "80")
	}
	if u.User != nil {
		password, has := u.User.Password()
		if has {
			files[proxyPasswordFile] = password
			e.ProxyPasswordFile = proxyPasswordFile
			file.note("proxy", "its password goes into the file %s beside the configuration", proxyPasswordFile)
			u.User = url.User(u.User.Username())
		} else {
			u.User = nil
			file.note("proxy", "its user has no password; Sygnal ignores such a user, so it was left out")
		}
	}
	e.Proxy = u.Scheme + "://" + u.Host
	if u.User != nil {
		e.Proxy = u.Scheme + "://" + u.User.String() + "@" + u.Host
	}
	return e
}

func sygnalApps(apps *source, t *target) {
	badges := map[bool]int{}
	for _, id := range apps.names() {
		s := apps.sub(id)
		if s.path == "" || len(s.values) == 0 {
			apps.note(id, "has no settings and was left out")
			continue
		}
		a := app{AppID: id}
		switch kind := s.text("type"); kind {
		case "apns":
			a.APNs = sygnalAPNs(s)
		case "gcm":
			a.FCM = sygnalGCM(s)
		case "webpush":
			a.WebPush = sygnalWebPush(s)
		case "":
			s.note("type", "is missing: Sygnal does not start with such an entry")
		default:
			s.note("type", "%q names a Python class; pushgate has no plug-ins", kind)
		}
		if a.APNs == nil && a.FCM == nil && a.WebPush == nil {
			s.note("type", "the app was left out: its notifications are answered 200, counted as unknown_app and dropped; no pusher is deleted")
			for _, name := range s.names() {
				if !s.seen[name] {
					s.dropped("the app was left out", name)
				}
			}
			continue
		}
		if a.WebPush == nil {
			badges[s.flag("send_badge_counts", true)]++
		}
		s.rest()
		t.Apps = append(t.Apps, a)
	}
	if badges[false] > 0 {
		t.Badges = badges[true] > 0
		if t.Badges {
			apps.note("*.send_badge_counts", "differs between apps; pushgate has one switch for all, left on so that no badge is lost")
		} else if slices.ContainsFunc(t.Apps, func(a app) bool { return a.WebPush != nil }) {
			apps.note("*.send_badge_counts", "is off for all apps, and pushgate's one switch takes the counts of Web Push away too, which Sygnal sends")
		}
	}
}

func inFlight(s *source) int {
	n, ok := s.number("inflight_request_limit")
	if !ok {
		return 0 // our own default; Sygnal's is 512
	}
	if n < 1 {
		s.note("inflight_request_limit", "must be at least 1 and was left out")
		return 0
	}
	s.note("inflight_request_limit", "becomes max_in_flight; beyond it notifications wait and are queued, Sygnal answers 502")
	return n
}

func sygnalAPNs(s *source) *apns {
	a := &apns{Environment: "production", MaxInFlight: inFlight(s), PushType: s.text("push_type")}
	switch p := s.text("platform"); p {
	case "", "production", "prod":
	case "sandbox":
		a.Environment = "sandbox"
	default:
		s.note("platform", "%q is none of production, prod, sandbox; production is used", p)
	}
	certFile, topic := s.text("certfile"), s.text("topic")
	switch derived := provider.TopicPushType(topic); {
	case a.PushType != "":
	case certFile != "":
		s.note("push_type", "is not set: Sygnal sends none, pushgate sends alert, which Apple asks for; a certificate for calls (its UID ends in .voip) needs push_type: voip")
	case derived != "":
		a.PushType = derived
		s.note("push_type", "is not set: Sygnal sends none, pushgate sends %s, which is what the topic is for", derived)
	default:
		s.note("push_type", "is not set: Sygnal sends none, pushgate sends alert, which Apple asks for")
	}
	if certFile != "" {
		a.CertFile = certFile
		if topic != "" {
			s.note("topic", "is left out: with a certificate Sygnal uses the certificate's own topic (its UID), and so does pushgate")
		}
		s.dropped("certfile is set too, and wins", "keyfile", "key_id", "team_id")
	} else {
		a.KeyFile, a.KeyID, a.TeamID, a.Topic = s.text("keyfile"), s.text("key_id"), s.text("team_id"), topic
	}
	if s.has("convert_device_token_to_hex") {
		s.note("convert_device_token_to_hex", "is not needed: hex and Base64 tokens are told apart")
	}
	return a
}

func sygnalGCM(s *source) *fcm {
	s.dropped("requests share few HTTP/2 connections", "max_connections")
	version := s.text("api_version")
	if version != "v1" {
		s.note("api_version", "is the legacy FCM API, which Google switched off in 2024: create a service account and set project_id and service_account_file")
		s.dropped("it belongs to the dead legacy API", "api_key")
		s.dropped("the app was left out", "fcm_options", "inflight_request_limit", "send_badge_counts", "project_id", "service_account_file")
		s.rest()
		return nil
	}
	s.dropped("it belongs to the dead legacy API", "api_key")
	return &fcm{
		ProjectID: s.text("project_id"), ServiceAccountFile: s.text("service_account_file"),
		Options: fcmOptions(s), MaxInFlight: inFlight(s),
	}
}

func sygnalWebPush(s *source) *webpush {
	s.dropped("requests share connections per host", "max_connections")
	if s.has("send_badge_counts") {
		s.note("send_badge_counts", "Sygnal does not support it for Web Push; pushgate's switch covers all apps")
	}
	w := &webpush{VAPIDPrivateKeyFile: s.text("vapid_private_key"), Contact: s.text("vapid_contact_email"), MaxInFlight: inFlight(s)}
	if w.Contact != "" && !strings.HasPrefix(w.Contact, "mailto:") {
		w.Contact = "mailto:" + w.Contact
	}
	ttl := sygnalTTL
	if n, ok := s.number("ttl"); ok {
		ttl = n
	}
	w.TTL = fmt.Sprintf("%ds", ttl)
	hosts := s.texts("allowed_endpoints")
	if len(hosts) == 0 {
		s.note("allowed_endpoints", "is not set: Sygnal posts to any address, pushgate only to the known push services; list others in allowed_hosts")
	}
	defer func() {
		if len(hosts) > 0 && len(w.AllowedHosts) == 0 {
			s.note("allowed_endpoints", "has no entry left, so only the known push services are allowed; list others in allowed_hosts")
		}
	}()
	for i, h := range hosts {
		host, ok := hostGlob(h)
		if !ok {
			s.note(fmt.Sprintf("allowed_endpoints[%d]", i), "%q cannot be written as a host, *.host or *, and was left out", h)
			continue
		}
		w.AllowedHosts = append(w.AllowedHosts, host)
	}
	return w
}

// hostGlob converts a host glob: Sygnal allows * and ? anywhere, we allow a whole leading label or everything.
func hostGlob(glob string) (string, bool) {
	glob = strings.ToLower(glob)
	rest := strings.TrimPrefix(glob, "*.")
	if glob == "*" {
		return glob, true
	}
	if rest == "" || strings.ContainsAny(rest, "*?/@ ") {
		return "", false
	}
	return glob, true
}
