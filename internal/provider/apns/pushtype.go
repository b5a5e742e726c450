package apns

import (
	"maps"
	"slices"
	"strings"
)

const (
	pushTypeAlert      = "alert"
	pushTypeBackground = "background"
	pushTypeVoIP       = "voip"
)

// pushTypes lists Apple's push types with the suffix that the topic of each has.
func pushTypes() map[string]string {
	return map[string]string{
		pushTypeAlert:      "",
		pushTypeBackground: "",
		"mdm":              "",
		pushTypeVoIP:       ".voip",
		"complication":     ".complication",
		"controls":         ".push-type.controls",
		"fileprovider":     ".pushkit.fileprovider",
		"liveactivity":     ".push-type.liveactivity",
		"location":         ".location-query",
		"pushtotalk":       ".voip-ptt",
		"widgets":          ".push-type.widgets",
	}
}

func pushTypeNames() []string { return slices.Sorted(maps.Keys(pushTypes())) }

// topicFor returns the topic with the suffix of its push type.
func topicFor(topic, pushType string) string {
	suffix := pushTypes()[pushType]
	if strings.HasSuffix(topic, suffix) {
		return topic
	}
	return topic + suffix
}
