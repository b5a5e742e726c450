package simulator

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/net/http2/hpack"

	"github.com/pushgate/pushgate/internal/simulator/h2"
)

const badRegistrationToken = "The registration token is not a valid FCM registration token"

// fcm is projects.messages.send of the FCM v1 API.
type fcm struct {
	sim    *Simulator
	schema *shape
	errors map[string]fcmError
	last   atomic.Uint64 // number of the last message
}

// fcmError is one row of "ErrorCode" in Google's reference, or of google.rpc.Code where FCM has no word of its own.
type fcmError struct {
	status  int
	rpc     string // google.rpc.Code
	code    string // FcmError.errorCode, or empty
	message string
}

func newFCM(sim *Simulator) *fcm {
	return &fcm{sim: sim, schema: fcmSchema(), errors: map[string]fcmError{
		"UNREGISTERED":           {404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found."},
		"INVALID_ARGUMENT":       {400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Request contains an invalid argument."},
		"SENDER_ID_MISMATCH":     {403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", "SenderId mismatch"},
		"QUOTA_EXCEEDED":         {429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "Quota exceeded."},
		"UNAVAILABLE":            {503, "UNAVAILABLE", "UNAVAILABLE", "The service is currently unavailable."},
		"INTERNAL":               {500, "INTERNAL", "INTERNAL", "Internal error encountered."},
		"THIRD_PARTY_AUTH_ERROR": {401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", "Request is missing required authentication credential."},
		"UNSPECIFIED_ERROR":      {500, "UNKNOWN", "UNSPECIFIED_ERROR", "Unknown error."},
		"UNAUTHENTICATED":        {401, "UNAUTHENTICATED", "", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential."},
		"PERMISSION_DENIED":      {403, "PERMISSION_DENIED", "", "Permission 'cloudmessaging.messages.create' denied on resource."},
		"NOT_FOUND":              {404, "NOT_FOUND", "", "Requested entity was not found."},
		"RESOURCE_EXHAUSTED":     {429, "RESOURCE_EXHAUSTED", "", "Resource has been exhausted (e.g. check quota)."},
	}}
}

func (*fcm) unavailable() Answer { return Answer{Reason: "UNAVAILABLE"} }

func (f *fcm) check(x *exchange) (Answer, string) {
	project, ok := fcmProject(x.path)
	switch {
	case !ok:
		return Answer{Reason: "NOT_FOUND"}, "path is not /v1/projects/<project>/messages:send"
	case x.method != "POST":
		return Answer{Reason: "NOT_FOUND"}, "method is not POST"
	}
	x.receipt.Topic = project
	if refusal, problem := f.authenticate(x, project); problem != "" {
		return refusal, problem
	}
	if contentType, _ := h2.Get(x.header, "content-type"); !strings.HasPrefix(contentType, "application/json") {
		return Answer{Reason: "INVALID_ARGUMENT"}, "content-type is not application/json"
	}
	if x.bodyTooLarge {
		return f.refuse(errTooBig)
	}
	m := newMessage(x.body)
	err := m.read(f.schema)
	m.note(&x.receipt)
	if err == nil {
		err = m.rules()
	}
	if err != nil {
		return f.refuse(err)
	}
	x.dry = m.validateOnly
	return Answer{}, ""
}

func (m *fcmMessage) note(r *Receipt) {
	r.Token, r.Priority, r.Expiration, r.CollapseID = m.token, m.priority, m.ttl, m.collapseKey
	switch {
	case m.visible:
		r.PushType = "notification"
	case m.data:
		r.PushType = "data"
	}
}

func fcmProject(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, "/v1/projects/")
	project, ok2 := strings.CutSuffix(rest, "/messages:send")
	return project, ok && ok2 && project != "" && !strings.ContainsAny(project, "/?")
}

func (f *fcm) authenticate(x *exchange, project string) (Answer, string) {
	authorization, times := h2.Get(x.header, "authorization")
	if times != 1 {
		return Answer{Reason: "UNAUTHENTICATED"}, "authorization is missing, or there twice"
	}
	scheme, bearer, _ := strings.Cut(authorization, " ")
	token, known := f.sim.trust.accessToken(bearer)
	switch {
	case !strings.EqualFold(scheme, "bearer"):
		return Answer{Reason: "UNAUTHENTICATED"}, "authorization is not Bearer <token>"
	case !known:
		return Answer{Reason: "UNAUTHENTICATED"}, "access token was not issued by the token endpoint, or is revoked"
	}
	x.receipt.KeyID = token.email
	switch {
	case x.now.After(token.expires):
		return Answer{Reason: "UNAUTHENTICATED"}, "access token has expired"
	case token.project != project:
		return Answer{Reason: "PERMISSION_DENIED"}, "the service account belongs to another project"
	}
	return Answer{}, ""
}

// refuse turns what is wrong with the body into Google's answer.
func (f *fcm) refuse(err error) (Answer, string) {
	if v, ok := errors.AsType[*violation](err); ok {
		return Answer{Reason: "INVALID_ARGUMENT", Detail: v.field, text: v.text}, v.Error()
	}
	if errors.Is(err, errTooBig) {
		return Answer{Reason: "INVALID_ARGUMENT", text: err.Error(), bare: true}, "more than 4096 bytes of keys and values"
	}
	return Answer{Reason: "INVALID_ARGUMENT", text: "Invalid JSON payload received. " + err.Error(), bare: true}, "body: " + err.Error()
}

func (f *fcm) render(x *exchange, a Answer) response {
	row, known := f.errors[a.Reason]
	r := response{status: a.Status}
	if r.status == 0 {
		if r.status = 200; a.Reason != "" {
			if r.status = row.status; !known {
				r.status = 400
			}
		}
	}
	switch {
	case a.Reason != "":
		if !known {
			row = fcmError{rpc: a.Reason, code: a.Reason, message: a.Reason}
		}
		r.body = row.body(r.status, a)
	case r.status == 200 && x.dry:
		r.body = []byte(`{"name":"projects/` + x.receipt.Topic + `/messages/fake_message_id"}`)
	case r.status == 200:
		x.receipt.ID = "projects/" + x.receipt.Topic + "/messages/0:" + strconv.FormatInt(x.now.UnixMicro(), 10) + "%" + strconv.FormatUint(f.last.Add(1), 16)
		r.body = []byte("{\n  \"name\": \"" + x.receipt.ID + "\"\n}\n")
	}
	r.header = append(r.header, hpack.HeaderField{Name: "vary", Value: "Origin"})
	a.dress(&r, "application/json; charset=UTF-8")
	return r
}

// body is an error as google.rpc.Status in JSON.
func (e fcmError) body(status int, a Answer) []byte {
	type detail map[string]any
	var details []detail
	message := e.message
	if a.Detail == "message.token" {
		message = badRegistrationToken
	}
	if a.text != "" {
		message = a.text
	}
	if e.code != "" && !a.bare {
		details = append(details, detail{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": e.code})
	}
	switch {
	case a.Detail != "" && e.rpc == "INVALID_ARGUMENT":
		details = append(details, detail{
			"@type":           "type.googleapis.com/google.rpc.BadRequest",
			"fieldViolations": []detail{{"field": a.Detail, "description": message}},
		})
	case a.Detail != "" && e.rpc == "RESOURCE_EXHAUSTED":
		details = append(details, detail{
			"@type":      "type.googleapis.com/google.rpc.QuotaFailure",
			"violations": []detail{{"subject": a.Detail, "description": message}},
		})
	case e.code == "" && status == 401:
		details = append(details, detail{
			"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_EXPIRED", "domain": "googleapis.com",
		})
	}
	text, _ := json.MarshalIndent(map[string]any{"error": struct {
		Code    int      `json:"code"`
		Message string   `json:"message"`
		Status  string   `json:"status"`
		Details []detail `json:"details,omitempty"`
	}{status, message, e.rpc, details}}, "", "  ") // cannot fail
	return text
}
