package api

import (
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// ignoredKeyword returns the first keyword at or below schema that the 3.0 walk would pass over in silence, empty when there
// is none.
func ignoredKeyword(schema *openapi3.Schema) string {
	return findKeyword(schema, map[*openapi3.Schema]bool{})
}

func findKeyword(s *openapi3.Schema, seen map[*openapi3.Schema]bool) string {
	if s == nil || seen[s] {
		return ""
	}
	seen[s] = true
	if keyword := ownKeyword(s); keyword != "" {
		return keyword
	}
	for _, below := range subschemas(s) {
		if keyword := findKeyword(below, seen); keyword != "" {
			return keyword
		}
	}
	return ""
}

// ownKeyword names a keyword of s itself that the 3.0 walk does not know, or reads differently.
func ownKeyword(s *openapi3.Schema) string {
	for _, k := range []struct {
		name string
		used bool
	}{
		{"nullable", s.Nullable}, // not a keyword in 3.1: say type: [x, "null"]
		{"const", s.Const != nil},
		{"prefixItems", len(s.PrefixItems) > 0},
		{"contains", s.Contains != nil || s.MinContains != nil || s.MaxContains != nil},
		{"patternProperties", len(s.PatternProperties) > 0},
		{"dependentSchemas", len(s.DependentSchemas) > 0},
		{"dependentRequired", len(s.DependentRequired) > 0},
		{"propertyNames", s.PropertyNames != nil},
		{"unevaluatedItems", s.UnevaluatedItems.Has != nil || s.UnevaluatedItems.Schema != nil},
		{"unevaluatedProperties", s.UnevaluatedProperties.Has != nil || s.UnevaluatedProperties.Schema != nil},
		{"if", s.If != nil || s.Then != nil || s.Else != nil},
		{"$defs", len(s.Defs) > 0},
		{"$schema", s.SchemaDialect != ""},
		{"$id", s.SchemaID != "" || s.Anchor != "" || s.DynamicRef != "" || s.DynamicAnchor != ""},
		{"contentSchema", s.ContentSchema != nil || s.ContentMediaType != "" || s.ContentEncoding != ""},
		// The 3.0 walk compares items as re-encoded text. Nothing needs it: ids are compared by handlers.
		{"uniqueItems", s.UniqueItems},
		{"discriminator", s.Discriminator != nil},
	} {
		if k.used {
			return k.name
		}
	}
	return ""
}

// subschemas returns the schemas directly below s that apply to a value or a part of it.
func subschemas(s *openapi3.Schema) []*openapi3.Schema {
	refs := slices.Concat(s.OneOf, s.AnyOf, s.AllOf, openapi3.SchemaRefs{s.Not, s.Items, s.AdditionalProperties.Schema})
	for _, p := range s.Properties {
		refs = append(refs, p)
	}
	var out []*openapi3.Schema
	for _, ref := range refs {
		if ref != nil {
			out = append(out, ref.Value)
		}
	}
	return out
}
