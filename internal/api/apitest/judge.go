package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// Judge holds answers against a contract.
type Judge struct{ doc *openapi3.T }

// NewJudge loads the contract with the generated GetSpec.
func NewJudge(t testing.TB, load func() (*openapi3.T, error)) *Judge {
	t.Helper()
	doc, err := load()
	require.NoError(t, err)
	require.NoError(t, doc.Validate(context.Background(), openapi3.DisableExamplesValidation())) // each contract has a test for those
	require.True(t, strings.HasPrefix(doc.OpenAPI, "3.1."))
	return &Judge{doc: doc}
}

// Answer fails the test unless the contract documents this answer of the operation: its status, headers, media type and
// every member of its body.
func (j *Judge) Answer(t testing.TB, method, path string, w *httptest.ResponseRecorder) {
	t.Helper()
	item := j.doc.Paths.Value(path)
	require.NotNilf(t, item, "%s is not in the contract", path)
	op := item.GetOperation(method)
	require.NotNilf(t, op, "%s %s is not in the contract", method, path)
	response := op.Responses.Value(strconv.Itoa(w.Code))
	require.NotNilf(t, response, "%s %s must not answer %d: %s", method, path, w.Code, w.Body)
	for name, h := range response.Value.Headers {
		given := w.Header().Get(name)
		if given == "" {
			require.Falsef(t, h.Value.Required, "%d without %s", w.Code, name)
			continue
		}
		require.NoErrorf(t, ByJSONSchema(h.Value.Schema.Value, headerValue(given)), "header %s", name)
	}
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.NotEmpty(t, w.Header().Get("X-Request-Id"))
	j.body(t, response.Value.Content.Get("application/json").Schema.Value, w)
}

// Unrecognized fails the test unless the answer is the one for unknown paths and methods.
func (j *Judge) Unrecognized(t testing.TB, status int, w *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, status, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	j.body(t, j.doc.Components.Schemas["Unrecognized"].Value, w)
}

func (j *Judge) body(t testing.TB, schema *openapi3.Schema, w *httptest.ResponseRecorder) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	d.UseNumber()
	var value any
	require.NoErrorf(t, d.Decode(&value), "body: %s", w.Body)
	require.False(t, d.More(), "more than one value in the body")
	require.NoErrorf(t, ByJSONSchema(schema, value), "body: %s", w.Body)
	undocumented(t, "", schema, value)
}

// undocumented fails the test when the value has members that no schema names.
func undocumented(t testing.TB, at string, schema *openapi3.Schema, value any) {
	t.Helper()
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			p := schema.Properties[name]
			if free := schema.AdditionalProperties.Has; p == nil && free != nil && *free {
				continue
			}
			require.NotNilf(t, p, "%s/%s is not in the contract", at, name)
			undocumented(t, at+"/"+name, p.Value, member)
		}
	case []any:
		for _, item := range v {
			undocumented(t, at+"/-", schema.Items.Value, item)
		}
	}
}

// headerValue reads a header as the JSON value it stands for.
func headerValue(text string) any {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return n
	}
	return text
}

// Post returns a request with a JSON body.
func Post(path, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}
