package fcm

// kind is the JSON type of one member of FCM's v1 message.
type kind uint8

const (
	kindText     kind = iota // string
	kindFlag                 // true or false
	kindCount                // whole number
	kindNumber               // any number
	kindDuration             // seconds as text: "3.5s"
	kindTexts                // list of strings
	kindTimings              // list of durations
	kindTextMap              // object whose values are strings
	kindFree                 // any object, shaped by Apple or a browser
	kindWord                 // one of words
	kindObject               // one of ours, see of
	kindRefused              // known, but not allowed here, see why
)

// member describes one member of an object in the v1 message.
type member struct {
	kind  kind
	words []string
	of    map[string]member
	why   string
}

// messageSchema is the v1 message (Google's REST reference, projects.messages) as far as options may fill it.
func messageSchema() map[string]member {
	target := member{kind: kindRefused, why: "each notification names its own device"}
	legacy := member{kind: kindRefused, why: "belongs to the legacy API, which Google switched off; the v1 message has it under android or apns"}
	return map[string]member{
		"name":         {kind: kindRefused, why: "is given by FCM"},
		"token":        target,
		"topic":        target,
		"condition":    target,
		"data":         {kind: kindTextMap},
		"notification": {kind: kindObject, of: map[string]member{"title": {}, "body": {}, "image": {}}},
		"android":      {kind: kindObject, of: androidSchema()},
		"webpush":      {kind: kindObject, of: webpushSchema()},
		"apns":         {kind: kindObject, of: apnsSchema()},
		"fcm_options":  {kind: kindObject, of: map[string]member{"analytics_label": {}}},

		"to":                      target,
		"registration_ids":        target,
		"collapse_key":            collapseKey(),
		"priority":                legacy,
		"content_available":       legacy,
		"mutable_content":         legacy,
		"time_to_live":            legacy,
		"restricted_package_name": legacy,
		"dry_run":                 legacy,
	}
}

func collapseKey() member {
	return member{kind: kindRefused, why: "is not supported: FCM throttles collapsible messages to bursts of 20 per device"}
}

func androidSchema() map[string]member {
	return map[string]member{
		"collapse_key":             collapseKey(),
		"priority":                 {kind: kindWord, words: []string{"high", "normal", "HIGH", "NORMAL"}}, // always overridden
		"ttl":                      {kind: kindDuration},
		"restricted_package_name":  {},
		"data":                     overridesData(),
		"notification":             {kind: kindObject, of: androidNotificationSchema()},
		"fcm_options":              {kind: kindObject, of: map[string]member{"analytics_label": {}}},
		"direct_boot_ok":           {kind: kindFlag},
		"bandwidth_constrained_ok": {kind: kindFlag},
		"restricted_satellite_ok":  {kind: kindFlag},
	}
}

func overridesData() member {
	return member{kind: kindRefused, why: "would replace the data of every notification; use options.data"}
}

func androidNotificationSchema() map[string]member {
	color := map[string]member{"red": {kind: kindNumber}, "green": {kind: kindNumber}, "blue": {kind: kindNumber}, "alpha": {kind: kindNumber}}
	return map[string]member{
		"title":                   {},
		"body":                    {},
		"icon":                    {},
		"color":                   {},
		"sound":                   {},
		"tag":                     {},
		"click_action":            {},
		"body_loc_key":            {},
		"body_loc_args":           {kind: kindTexts},
		"title_loc_key":           {},
		"title_loc_args":          {kind: kindTexts},
		"channel_id":              {},
		"ticker":                  {},
		"sticky":                  {kind: kindFlag},
		"event_time":              {},
		"local_only":              {kind: kindFlag},
		"notification_priority":   {kind: kindWord, words: []string{"PRIORITY_UNSPECIFIED", "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX"}},
		"default_sound":           {kind: kindFlag},
		"default_vibrate_timings": {kind: kindFlag},
		"default_light_settings":  {kind: kindFlag},
		"vibrate_timings":         {kind: kindTimings},
		"visibility":              {kind: kindWord, words: []string{"VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"}},
		"notification_count":      {kind: kindCount},
		"light_settings": {kind: kindObject, of: map[string]member{
			"color": {kind: kindObject, of: color}, "light_on_duration": {kind: kindDuration}, "light_off_duration": {kind: kindDuration},
		}},
		"image":                     {},
		"bypass_proxy_notification": {kind: kindFlag},
		"proxy":                     {kind: kindWord, words: []string{"PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"}},
	}
}

func webpushSchema() map[string]member {
	return map[string]member{
		"headers":      {kind: kindTextMap},
		"data":         overridesData(),
		"notification": {kind: kindFree},
		"fcm_options":  {kind: kindObject, of: map[string]member{"link": {}, "analytics_label": {}}},
	}
}

func apnsSchema() map[string]member {
	return map[string]member{
		"headers":             {kind: kindTextMap},
		"payload":             {kind: kindFree},
		"fcm_options":         {kind: kindObject, of: map[string]member{"analytics_label": {}, "image": {}}},
		"live_activity_token": {kind: kindRefused, why: "belongs to one device"},
	}
}
