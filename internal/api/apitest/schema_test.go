package apitest_test

import (
	"encoding/json"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api/apitest"
)

// For JSON Schema 1 and 1.0 are the same number, for kin-openapi's own walk they are different texts. If the two did not
// differ here, comparing them elsewhere would prove nothing.
func TestByJSONSchema_IsAnotherOpinion(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(`
openapi: 3.1.0
info: {title: t, version: "1"}
paths: {}
components:
  schemas:
    Outer: {type: object, properties: {a: {$ref: "#/components/schemas/Inner"}}}
    Inner: {type: array, items: {type: number}, uniqueItems: true}
`))
	require.NoError(t, err)
	outer := doc.Components.Schemas["Outer"].Value
	twice := map[string]any{"a": []any{json.Number("1"), json.Number("1.0")}}
	require.NoError(t, outer.VisitJSON(twice))
	require.NoError(t, outer.VisitJSON(twice, openapi3.EnableJSONSchema2020()), "kin-openapi falls back")
	require.Error(t, apitest.ByJSONSchema(outer, twice))
	require.NoError(t, apitest.ByJSONSchema(outer, map[string]any{"a": []any{json.Number("1"), json.Number("2")}}))
	require.Error(t, apitest.ByJSONSchema(outer, map[string]any{"a": "x"}))
}
