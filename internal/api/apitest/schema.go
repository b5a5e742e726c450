package apitest

import "github.com/getkin/kin-openapi/openapi3"

// ByJSONSchema holds value against schema by the rules of JSON Schema 2020-12, which are OpenAPI 3.1's.
//
// kin-openapi only pretends to for schemas with $ref: unless one of them uses a keyword that 3.0 does not have, it falls
// back to its 3.0 walk, the one that the engine uses. An unused $defs keeps it from that, so this is a second opinion.
func ByJSONSchema(schema *openapi3.Schema, value any) error {
	strict := *schema
	strict.Defs = openapi3.Schemas{"unused": openapi3.NewSchemaRef("", openapi3.NewStringSchema())}
	return strict.VisitJSON(value, openapi3.EnableJSONSchema2020())
}
