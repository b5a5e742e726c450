package simulator

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2/hpack"
)

const apnsPath = "/3/device/"

// apns is Apple's provider API as of the "Sending notification requests to APNs" and "Handling notification
// responses from APNs" texts.
type apns struct {
	sim      *Simulator
	verified verifiedTokens
	statuses map[string]int
}

func newAPNs(sim *Simulator) *apns {
	return &apns{sim: sim, statuses: apnsStatuses()}
}

// apnsStatuses are Apple's reasons with the status each one comes with.
func apnsStatuses() map[string]int {
	return map[string]int{
		"BadCollapseId": 400, "BadDeviceToken": 400, "BadExpirationDate": 400, "BadMessageId": 400, "BadPriority": 400,
		"BadTopic": 400, "DeviceTokenNotForTopic": 400, "DuplicateHeaders": 400, "IdleTimeout": 400,
		"InvalidPushType": 400, "MissingDeviceToken": 400, "MissingTopic": 400, "PayloadEmpty": 400,
		"TopicDisallowed": 400,
		"BadCertificate":  403, "BadCertificateEnvironment": 403, "BadEnvironmentKeyIdInToken": 403,
		"ExpiredProviderToken": 403, "Forbidden": 403, "InvalidProviderToken": 403, "MissingProviderToken": 403,
		"UnrelatedKeyIdInToken": 403,
		"BadPath":               404, "MethodNotAllowed": 405,
		"ExpiredToken": 410, "Unregistered": 410,
		"PayloadTooLarge":             413,
		"TooManyProviderTokenUpdates": 429, "TooManyRequests": 429,
		"InternalServerError": 500,
		"ServiceUnavailable":  503, "Shutdown": 503,
	}
}

// apnsConn is what APNs remembers of one connection.
type apnsConn struct {
	bearer, previous string // provider tokens: the current one, and the one before it
	current          providerToken
	since            time.Time // when the current one was first seen here
	wedged           bool      // an expired token was used: this connection takes no other
	badTokens        int       // BadDeviceToken in a row
}

func (*apns) unavailable() Answer { return Answer{Reason: "ServiceUnavailable"} }

func (a *apns) check(x *exchange) (Answer, string) {
	reason, problem := a.judge(x)
	st := &x.conn.apns
	if reason != "BadDeviceToken" {
		st.badTokens = 0
		return Answer{Reason: reason}, problem
	}
	st.badTokens++
	limit := a.sim.rules.Load().BadTokenLimit
	return Answer{Reason: reason, Close: limit > 0 && st.badTokens >= limit}, problem
}

// judge names the first rule that the request breaks: Apple's reason, and what was wrong.
func (a *apns) judge(x *exchange) (reason, problem string) {
	if !strings.HasPrefix(x.path, apnsPath) {
		return "BadPath", "path is not " + apnsPath + "<token>"
	}
	token := x.path[len(apnsPath):]
	x.receipt.Token = token
	if x.method != "POST" {
		return "MethodNotAllowed", "method is not POST"
	}
	var h apnsHeader
	if name := h.read(x.header); name != "" {
		return "DuplicateHeaders", name + " is there twice"
	}
	h.note(&x.receipt)
	if reason, problem := a.authenticate(x, &h); problem != "" {
		return reason, problem
	}
	if token == "" {
		return "MissingDeviceToken", "no device token in the path"
	}
	if problem := badDeviceToken(token); problem != "" {
		return "BadDeviceToken", problem
	}
	if reason, problem := h.judge(); problem != "" {
		return reason, problem
	}
	if reason, problem := a.judgeTopic(x, &h); problem != "" {
		return reason, problem
	}
	return judgePayload(x, h.pushType)
}

// badDeviceToken wants hex in lower case. Apple does not promise a length.
func badDeviceToken(token string) string {
	if len(token)%2 != 0 || len(token) < 8 || len(token) > 200 {
		return "device token has " + strconv.Itoa(len(token)) + " digits"
	}
	for i := range len(token) {
		if c := token[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "device token is not lower-case hex"
		}
	}
	return ""
}

func (a *apns) render(x *exchange, answer Answer) response {
	r := response{status: answer.Status}
	if r.status == 0 {
		r.status = 200
		if answer.Reason != "" {
			if r.status = a.statuses[answer.Reason]; r.status == 0 {
				r.status = 400
			}
		}
	}
	if x.receipt.ID == "" {
		x.receipt.ID = newUUID()
	}
	r.header = append(r.header, hpack.HeaderField{Name: "apns-id", Value: x.receipt.ID, Sensitive: true})
	if answer.Reason != "" {
		body := struct {
			Reason    string `json:"reason"`
			Timestamp *int64 `json:"timestamp,omitempty"`
		}{Reason: answer.Reason}
		if r.status == 410 && !answer.NoTimestamp {
			if answer.Timestamp.IsZero() {
				answer.Timestamp = x.now
			}
			body.Timestamp = new(answer.Timestamp.UnixMilli())
		}
		r.body, _ = json.Marshal(body) // cannot fail
	}
	answer.dress(&r, "application/json")
	return r
}

// dress puts on what an answer says about headers and body, whatever the service.
func (a Answer) dress(r *response, contentType string) {
	if a.Body != nil {
		r.body = []byte(*a.Body)
		contentType = a.ContentType
	}
	if len(r.body) > 0 && contentType != "" {
		r.set("content-type", contentType)
	}
	if a.RetryAfter != "" {
		r.set("retry-after", a.RetryAfter)
	}
	for name, value := range a.Header {
		r.set(strings.ToLower(name), value)
	}
}

func (r *response) set(name, value string) {
	for i := range r.header {
		if r.header[i].Name == name {
			r.header[i].Value = value
			return
		}
	}
	r.header = append(r.header, hpack.HeaderField{Name: name, Value: value})
}

// apnsHeader is what a notification request says beside its payload.
type apnsHeader struct {
	authorization, id, expiration, priority, topic, pushType, collapseID string
}

// read collects the fields and returns the name of one that is there twice.
func (h *apnsHeader) read(fields []hpack.HeaderField) string {
	var seen uint8
	for i := range fields {
		f := &fields[i]
		var to *string
		var bit uint8
		switch f.Name {
		case "authorization":
			to, bit = &h.authorization, 1
		case "apns-id":
			to, bit = &h.id, 2
		case "apns-expiration":
			to, bit = &h.expiration, 4
		case "apns-priority":
			to, bit = &h.priority, 8
		case "apns-topic":
			to, bit = &h.topic, 16
		case "apns-push-type":
			to, bit = &h.pushType, 32
		case "apns-collapse-id":
			to, bit = &h.collapseID, 64
		default:
			continue
		}
		if seen&bit != 0 {
			return f.Name
		}
		seen |= bit
		*to = f.Value
	}
	return ""
}

func (h *apnsHeader) note(r *Receipt) {
	r.ID, r.Topic, r.PushType, r.Priority = h.id, h.topic, h.pushType, h.priority
	r.Expiration, r.CollapseID = h.expiration, h.collapseID
}

// widen lifts the one-stream limit of a connection whose provider has shown a valid token.
func (c *conn) widen() {
	if c.narrow.CompareAndSwap(true, false) {
		c.setStreamLimit()
	}
}
