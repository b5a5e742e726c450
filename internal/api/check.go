package api

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/gin-gonic/gin"

	"github.com/pushgate/pushgate/internal/api/strictjson"
	"github.com/pushgate/pushgate/internal/push"
)

// What a body may cost beyond its bytes. What we read nests a few levels, and a full batch has some hundred objects. What
// we only pass on may nest as deep as encoding/json still reads: an event's content is a stranger's choice, and a
// homeserver that is refused one event holds back all that follow (facts: providers 2.3).
const (
	maxDepth   = 64
	maxSkipped = 9_900
	maxObjects = 1 << 15
)

// check holds the request against the contract and puts the checked value in the place of its body. It returns the
// bytes that the body holds of the budget until the request is answered.
func (r *route) check(c *gin.Context, x *exchange) (held int64, err error) {
	if err := r.checkParams(c); err != nil {
		return 0, err
	}
	if !r.operation.takesBody(c.Request) {
		return 0, nil
	}
	if err := r.checkMediaType(c.Request.Header); err != nil {
		return 0, err
	}
	text, held, err := r.engine.readBody(c.Writer, c.Request, r.group.MaxBodyBytes)
	if err != nil {
		return held, err
	}
	doc, err := strictjson.Decode(text, r.operation.shape, strictjson.Limits{Depth: maxDepth, Skipped: maxSkipped, Objects: maxObjects})
	if err != nil {
		return held, notJSON(err)
	}
	if err := r.checkValue(doc.Value); err != nil {
		return held, err
	}
	x.sizes = doc.Sizes
	c.Request.Body = &checkedBody{value: doc.Bind()}
	return held, nil
}

// checkMediaType refuses bodies that are not plain JSON. Decompressing is left out on purpose: no caller compresses, and
// a small body could become a large one.
func (r *route) checkMediaType(h http.Header) error {
	for _, coding := range h.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return &push.Error{Kind: push.Unsupported, Msg: "The Content-Encoding is not supported."}
		}
	}
	if r.group.AnyContentType {
		return nil
	}
	given := h.Get("Content-Type")
	if given == "application/json" {
		return nil
	}
	if media, _, err := mime.ParseMediaType(given); err != nil || media != "application/json" {
		return &push.Error{Kind: push.Unsupported, Msg: "The Content-Type must be application/json."}
	}
	return nil
}

// checkValue walks the value by the operation's schema.
func (r *route) checkValue(value any) error {
	if r.operation.body.VisitJSON(value, openapi3.FailFast()) == nil {
		return nil
	}
	// Once more for the reason. The error must never be printed: its text holds the body.
	err := r.operation.body.VisitJSON(value)
	schemaErr, ok := errors.AsType[*openapi3.SchemaError](err)
	if !ok {
		return &push.Error{Kind: push.Invalid, Msg: "The request body breaks the contract."}
	}
	v := &Violation{Keyword: schemaErr.SchemaField, Pointer: safePointer(r.operation.shape, schemaErr.JSONPointer())}
	return v.asError()
}

// checkParams holds path, query and header parameters against the contract.
func (r *route) checkParams(c *gin.Context) error {
	if len(r.operation.params) == 0 {
		return nil
	}
	in := &openapi3filter.RequestValidationInput{
		Request: c.Request, PathParams: map[string]string{}, Route: r.operation.route,
		Options: &openapi3filter.Options{SkipSettingDefaults: true},
	}
	for _, p := range c.Params {
		in.PathParams[p.Key] = p.Value
	}
	for _, p := range r.operation.params {
		if err := openapi3filter.ValidateParameter(c.Request.Context(), in, p.Value); err != nil {
			v := &Violation{Keyword: "parameter", Pointer: p.Value.Name}
			if errors.Is(err, openapi3filter.ErrInvalidRequired) {
				v.Keyword = "required"
			}
			return v.asError()
		}
	}
	return nil
}

// Violation says which rule of the contract a request broke, in words of the contract only.
type Violation struct {
	Keyword string // the schema's keyword, such as required or maxLength; "parameter" for a parameter
	Pointer string // where: a JSON pointer into the body, or a parameter's name
}

// Error names the rule and the place.
func (v *Violation) Error() string { return "breaks " + v.Keyword + " at " + v.Pointer }

// asError returns the error with the code that the Matrix APIs have for it.
func (v *Violation) asError() error {
	e := &push.Error{Kind: push.Invalid, Code: "M_INVALID_PARAM", Msg: "Not valid: " + v.Pointer, Err: v}
	switch {
	case v.Pointer == "":
		e.Code, e.Msg = "M_BAD_JSON", "The request body must be a JSON object."
	case v.Keyword == "required":
		e.Code, e.Msg = "M_MISSING_PARAM", "Missing: "+v.Pointer
	}
	return e
}

// notJSON returns the error for a text that strictjson refused.
func notJSON(err error) error {
	e := &push.Error{Kind: push.Invalid, Code: "M_NOT_JSON", Msg: "The request body is not valid JSON.", Err: err}
	problem, _ := errors.AsType[*strictjson.Error](err)
	if problem == nil || problem.Problem == strictjson.Syntax {
		return e
	}
	e.Code, e.Msg = "M_BAD_JSON", "The request body cannot be accepted: "+problem.Problem.String()+"."
	return e
}

// safePointer joins the path to a value, with a star for each name that is not the contract's but the caller's.
func safePointer(shape *strictjson.Shape, path []string) string {
	var b strings.Builder
	for _, name := range path {
		b.WriteByte('/')
		next := below(shape, name)
		if next == nil || shape.Members[name] == nil && !isIndex(name) {
			name = "*"
		}
		b.WriteString(name)
		shape = next
	}
	return b.String()
}

// below returns the shape of the member or item called name, nil when there is none.
func below(shape *strictjson.Shape, name string) *strictjson.Shape {
	switch {
	case shape == nil:
		return nil
	case shape.Members[name] != nil:
		return shape.Members[name]
	case shape.Items != nil && isIndex(name):
		return shape.Items
	default:
		return shape.Rest
	}
}

func isIndex(name string) bool {
	_, err := strconv.ParseUint(name, 10, 31)
	return err == nil
}
