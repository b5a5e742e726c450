package apns

import (
	"fmt"
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

// TopicPushType returns the push type that a topic's suffix belongs to, empty when it has none: plain topics serve alert,
// background and mdm.
func TopicPushType(topic string) string {
	for name, suffix := range pushTypes() {
		if suffix != "" && strings.HasSuffix(topic, suffix) {
			return name // no suffix ends in another
		}
	}
	return ""
}

// topicProblem says that a topic belongs to another push type, empty if it does not. Apple would answer BadTopic to
// everything.
func topicProblem(topic, pushType string) string {
	wanted := TopicPushType(topic)
	if _, known := pushTypes()[pushType]; !known || wanted == "" || wanted == pushType {
		return ""
	}
	return fmt.Sprintf("%s does not go with the topic's ending %s: set %s", pushType, pushTypes()[wanted], wanted)
}
