package simulator

import "strings"

// form is what a JSON value of the FCM v1 API must look like, in the terms of proto3's JSON mapping.
type form uint8

const (
	formObject   form = iota // known members only
	formStruct               // any object (google.protobuf.Struct)
	formMap                  // object of strings
	formString               //
	formBool                 //
	formInt32                //
	formNumber               //
	formDuration             // "3.5s"
	formTime                 // RFC 3339
	formEnum                 //
	formList                 // of item
)

// place marks the values that a receipt is made of.
type place uint8

const (
	anywhere place = iota
	atToken
	atPriority
	atTTL
	atCollapseKey
	atData
	atVisible // a text that the system shows: counts against the size
	atTarget  // topic or condition
	atValidateOnly
)

// shape describes one value.
type shape struct {
	form   form
	path   string // "message.android.priority", as Google names fields in its errors
	place  place
	fields map[string]*shape // by both spellings
	item   *shape
	enum   []string
}

// fcmSchema is the request of projects.messages.send
// (firebase.google.com/docs/reference/fcm/rest/v1/projects.messages).
func fcmSchema() *shape {
	analytics := func() *shape { return object("analytics_label", text()) }
	return object(
		"validate_only", of(formBool).at(atValidateOnly),
		"message", object(
			"token", text().at(atToken),
			"topic", text().at(atTarget),
			"condition", text().at(atTarget),
			"data", of(formMap).at(atData),
			"notification", object("title", text().at(atVisible), "body", text().at(atVisible), "image", text().at(atVisible)),
			"fcm_options", analytics(),
			"android", fcmAndroid(),
			"webpush", object(
				"headers", of(formMap), "data", of(formMap), "notification", of(formStruct),
				"fcm_options", object("link", text(), "analytics_label", text()),
			),
			"apns", object(
				"headers", of(formMap), "payload", of(formStruct), "live_activity_token", text(),
				"fcm_options", object("analytics_label", text(), "image", text()),
			),
		),
	).named("")
}

func fcmAndroid() *shape {
	return object(
		"collapse_key", text().at(atCollapseKey),
		"priority", enum("NORMAL", "HIGH").at(atPriority),
		"ttl", of(formDuration).at(atTTL),
		"restricted_package_name", text(),
		"data", of(formMap).at(atData),
		"fcm_options", object("analytics_label", text()),
		"direct_boot_ok", of(formBool),
		"bandwidth_constrained_ok", of(formBool),
		"restricted_satellite_ok", of(formBool),
		"notification", object(
			"title", text().at(atVisible), "body", text().at(atVisible), "image", text().at(atVisible),
			"icon", text(), "color", text(), "sound", text(), "tag", text(), "click_action", text(), "channel_id", text(), "ticker", text(),
			"body_loc_key", text(), "body_loc_args", list(text()), "title_loc_key", text(), "title_loc_args", list(text()),
			"sticky", of(formBool), "local_only", of(formBool), "default_sound", of(formBool),
			"default_vibrate_timings", of(formBool), "default_light_settings", of(formBool), "bypass_proxy_notification", of(formBool),
			"event_time", of(formTime), "vibrate_timings", list(of(formDuration)), "notification_count", of(formInt32),
			"notification_priority", enum("PRIORITY_UNSPECIFIED", "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX"),
			"visibility", enum("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
			"proxy", enum("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
			"light_settings", object(
				"color", object("red", of(formNumber), "green", of(formNumber), "blue", of(formNumber), "alpha", of(formNumber)),
				"light_on_duration", of(formDuration), "light_off_duration", of(formDuration),
			),
		),
	)
}

func of(f form) *shape             { return &shape{form: f} }
func text() *shape                 { return of(formString) }
func list(item *shape) *shape      { return &shape{form: formList, item: item} }
func enum(names ...string) *shape  { return &shape{form: formEnum, enum: names} }
func (s *shape) at(p place) *shape { s.place = p; return s }
func object(members ...any) *shape {
	s := &shape{form: formObject, fields: map[string]*shape{}}
	for i := 0; i < len(members); i += 2 {
		name, member := members[i].(string), members[i+1].(*shape)
		s.fields[name] = member
		s.fields[camel(name)] = member
		member.path = name
	}
	return s
}

// named gives every shape its full path.
func (s *shape) named(path string) *shape {
	s.path = path
	if s.item != nil {
		s.item.named(path + "[]")
	}
	for name, member := range s.fields {
		if name == member.path { // its own spelling; the other one is the same shape
			member.named(strings.TrimPrefix(path+"."+name, "."))
		}
	}
	return s
}

// camel spells a proto field name as JSON does: collapse_key becomes collapseKey.
func camel(name string) string {
	var b strings.Builder
	up := false
	for _, c := range name {
		if c == '_' {
			up = true
			continue
		}
		if up {
			b.WriteString(strings.ToUpper(string(c)))
		} else {
			b.WriteRune(c)
		}
		up = false
	}
	return b.String()
}
