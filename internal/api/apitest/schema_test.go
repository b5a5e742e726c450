package apitest_test

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api/apitest"
)

// nullable is a keyword of 3.0 only, so the two walks differ on it. Without that, comparing them would prove nothing.
func TestByJSONSchema_IsAnotherOpinion(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(`
openapi: 3.1.0
info: {title: t, version: "1"}
paths: {}
components:
  schemas:
    Outer: {type: object, properties: {a: {$ref: "#/components/schemas/Inner"}}}
    Inner: {type: string, nullable: true, maxLength: 2}
`))
	require.NoError(t, err)
	outer := doc.Components.Schemas["Outer"].Value
	null := map[string]any{"a": nil}
	require.NoError(t, outer.VisitJSON(null))
	require.NoError(t, outer.VisitJSON(null, openapi3.EnableJSONSchema2020()), "kin-openapi falls back")
	require.Error(t, apitest.ByJSONSchema(outer, null))
	require.NoError(t, apitest.ByJSONSchema(outer, map[string]any{"a": "öö"}))
	require.Error(t, apitest.ByJSONSchema(outer, map[string]any{"a": "ööö"}))
}
