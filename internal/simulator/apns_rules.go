package simulator

import (
	"slices"
	"strings"

	"github.com/pushgate/pushgate/internal/simulator/jsonscan"
)

const (
	apnsPayloadLimit = 4096
	voipPayloadLimit = 5120
	collapseIDLimit  = 64 // bytes
)

// topicSuffix is what a push type's topic ends in; ok is false for a type that Apple does not know.
func topicSuffix(pushType string) (suffix string, ok bool) {
	switch pushType {
	case "alert", "background", "mdm":
		return "", true
	case "voip":
		return ".voip", true
	case "complication":
		return ".complication", true
	case "controls":
		return ".push-type.controls", true
	case "fileprovider":
		return ".pushkit.fileprovider", true
	case "liveactivity":
		return ".push-type.liveactivity", true
	case "location":
		return ".location-query", true
	case "pushtotalk":
		return ".voip-ptt", true
	case "widgets":
		return ".push-type.widgets", true
	}
	return "", false
}

// splitTopic takes the suffix of a special push type off a topic.
func splitTopic(topic string) (base, suffix string) {
	for _, suffix := range []string{
		".voip", ".complication", ".push-type.controls", ".pushkit.fileprovider", ".push-type.liveactivity",
		".location-query", ".voip-ptt", ".push-type.widgets",
	} {
		if base, ok := strings.CutSuffix(topic, suffix); ok {
			return base, suffix
		}
	}
	return topic, ""
}

// judge checks the headers that need no knowledge of the sender.
func (h *apnsHeader) judge() (reason, problem string) {
	if h.id != "" && !lowerUUID(h.id) {
		return "BadMessageId", "apns-id is not a lower-case UUID"
	}
	if len(h.expiration) > 18 || !digits(h.expiration) {
		return "BadExpirationDate", "apns-expiration is not a number of seconds"
	}
	if len(h.collapseID) > collapseIDLimit {
		return "BadCollapseId", "apns-collapse-id is longer than 64 bytes"
	}
	if h.priority != "" && h.priority != "10" && h.priority != "5" && h.priority != "1" {
		return "BadPriority", "apns-priority is not 10, 5 or 1"
	}
	if h.pushType == "" {
		return "InvalidPushType", "apns-push-type is missing"
	}
	if _, ok := topicSuffix(h.pushType); !ok {
		return "InvalidPushType", "apns-push-type is none that Apple knows"
	}
	if h.pushType == "background" && h.priority != "5" {
		return "BadPriority", "a background push needs apns-priority 5"
	}
	return "", ""
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func lowerUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

// judgeTopic checks the topic's form, its fit with the push type, and whether this sender may use it.
func (a *apns) judgeTopic(x *exchange, h *apnsHeader) (reason, problem string) {
	topic := h.topic
	if x.conn.peer != nil && topic == "" {
		topic = subjectUID(x.conn.peer)
		x.receipt.Topic = topic
	}
	if topic == "" {
		return "MissingTopic", "apns-topic is missing"
	}
	if !topicForm(topic) {
		return "BadTopic", "apns-topic is no bundle id"
	}
	base, suffix := splitTopic(topic)
	if want, _ := topicSuffix(h.pushType); suffix != want {
		return "BadTopic", "apns-topic does not fit push type " + h.pushType
	}
	if x.conn.peer != nil {
		if h.pushType == "location" {
			return "MissingProviderToken", "push type location needs a provider token"
		}
		if !slices.Contains(certificateTopics(subjectUID(x.conn.peer)), topic) {
			return "TopicDisallowed", "the certificate is for another topic"
		}
	} else if allowed := a.sim.rules.Load().APNsTopics; len(allowed) > 0 && !slices.Contains(allowed, base) {
		return "TopicDisallowed", "the key is not for this topic"
	}
	return "", ""
}

func topicForm(topic string) bool {
	if len(topic) > 255 || !strings.Contains(topic, ".") || strings.Contains(topic, "..") ||
		topic[0] == '.' || topic[len(topic)-1] == '.' {
		return false
	}
	for i := range len(topic) {
		c := topic[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// judgePayload checks size and shape. Apple names no reason for a payload that is not what its push type wants;
// PayloadEmpty and InvalidPushType come closest.
func judgePayload(x *exchange, pushType string) (reason, problem string) {
	limit := apnsPayloadLimit
	if pushType == "voip" {
		limit = voipPayloadLimit
	}
	if len(x.body) == 0 {
		return "PayloadEmpty", "no payload"
	}
	if len(x.body) > limit || x.bodyTooLarge {
		return "PayloadTooLarge", "payload is over the limit of its push type"
	}
	p := apnsPayload{scan: jsonscan.New(x.body)}
	if err := p.read(); err != nil {
		return "PayloadEmpty", "payload: " + err.Error()
	}
	switch {
	case pushType == "mdm" && !p.mdm:
		return "PayloadEmpty", "an mdm push needs the member mdm"
	case pushType != "mdm" && !p.aps:
		return "PayloadEmpty", "payload has no aps"
	case pushType == "background" && !p.contentAvailable:
		return "InvalidPushType", "a background push needs content-available 1"
	case pushType == "background" && p.visible:
		return "InvalidPushType", "a background push has no alert, badge or sound"
	}
	return "", ""
}
