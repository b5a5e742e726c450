package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"

	"github.com/pushgate/pushgate/internal/api/strictjson"
)

// operation is one operation of a contract, ready to check requests.
type operation struct {
	id, tag string
	route   *routers.Route
	params  openapi3.Parameters
	body    *openapi3.Schema // nil: takes no body
	shape   *strictjson.Shape
}

// compile validates a document and prepares its operations, by method and path.
//
// Contracts are written in OpenAPI 3.1. kin-openapi compiles the schemas of a 3.1 document anew on every call, which
// costs a millisecond per request, and then walks them by the 3.0 rules all the same unless a keyword asks for more.
// So the document is validated as 3.1 and then called 3.0; ignoredKeyword keeps out what only the other walk would see.
func compile(doc *openapi3.T) (map[string]*operation, error) {
	if doc == nil {
		return nil, errors.New("missing")
	}
	// Examples are left to the tests of each contract: checking them takes longer than all the rest of a start.
	if err := doc.Validate(context.Background(), openapi3.DisableExamplesValidation()); err != nil {
		return nil, err
	}
	doc.OpenAPI = "3.0.3"
	ops := map[string]*operation{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			compiled, err := compileOperation(op)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			compiled.params = append(compiled.params, item.Parameters...)
			compiled.route = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
			ops[method+" "+path] = compiled
		}
	}
	return ops, nil
}

func compileOperation(op *openapi3.Operation) (*operation, error) {
	if op.OperationID == "" || len(op.Tags) != 1 {
		return nil, errors.New("needs an operationId and exactly one tag")
	}
	out := &operation{id: op.OperationID, tag: op.Tags[0], params: append(openapi3.Parameters{}, op.Parameters...)}
	if op.RequestBody == nil {
		return out, nil
	}
	media := op.RequestBody.Value.Content
	if len(media) != 1 || media.Get("application/json") == nil || !op.RequestBody.Value.Required {
		return nil, errors.New("the request body must be required and JSON only")
	}
	out.body = media.Get("application/json").Schema.Value
	if keyword := ignoredKeyword(out.body); keyword != "" {
		return nil, fmt.Errorf("uses %s, which would not be checked", keyword)
	}
	shape, err := shapeOf(out.body, map[*openapi3.Schema]*strictjson.Shape{})
	if err != nil {
		return nil, err
	}
	out.shape = shape
	return out, nil
}

// takesBody reports whether requests of the operation have a body.
func (o *operation) takesBody(r *http.Request) bool { return o.body != nil && r.Body != nil }
