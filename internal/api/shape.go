package api

import (
	"errors"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/pushgate/pushgate/internal/api/strictjson"
)

// Extensions of schemas that say how the body is read.
const (
	// extGoType with the value json.RawMessage marks a member that is passed on verbatim.
	extGoType = "x-go-type"
	// extMeasured marks a value whose size in bytes the handler asks for.
	extMeasured = "x-measured"
	// extTextOnly with the value true marks a member of any type of which only a string is read; all else counts as null.
	extTextOnly = "x-text-only"
)

// shapeOf says what of a value the check and the handler look at. done holds shapes under way, for schemas that refer
// to themselves.
func shapeOf(s *openapi3.Schema, done map[*openapi3.Schema]*strictjson.Shape) (*strictjson.Shape, error) {
	if shape := done[s]; shape != nil {
		return shape, nil
	}
	if s.Extensions[extTextOnly] == true {
		return &strictjson.Shape{TextOnly: true}, nil
	}
	untyped := s.Type == nil && len(s.Properties) == 0 && s.Items == nil
	if untyped || len(s.OneOf)+len(s.AnyOf)+len(s.AllOf) > 0 || s.Not != nil {
		return strictjson.Whole(), nil
	}
	shape := &strictjson.Shape{
		Verbatim: s.Extensions[extGoType] == "json.RawMessage",
		Measured: s.Extensions[extMeasured] == true,
	}
	done[s] = shape
	if s.Items == nil {
		shape.Items = strictjson.Whole()
	} else {
		items, err := shapeOf(s.Items.Value, done)
		if err != nil {
			return nil, err
		}
		if items.Verbatim {
			return nil, errors.New("items of an array cannot be verbatim, only members of an object")
		}
		shape.Items = items
	}
	if len(s.Properties) > 0 {
		shape.Members = make(map[string]*strictjson.Shape, len(s.Properties))
	}
	for name, p := range s.Properties {
		member, err := shapeOf(p.Value, done)
		if err != nil {
			return nil, err
		}
		shape.Members[name] = member
	}
	rest, err := restOf(s, shape.Verbatim, done)
	if err != nil {
		return nil, err
	}
	shape.Rest = rest
	return shape, nil
}

// restOf says what is wanted of the members that have no name in the schema.
func restOf(s *openapi3.Schema, verbatim bool, done map[*openapi3.Schema]*strictjson.Shape) (*strictjson.Shape, error) {
	more := s.AdditionalProperties
	counted := s.MinProps > 0 || s.MaxProps != nil
	free := len(s.Properties) == 0 && !verbatim // any object, such as a map
	switch {
	case more.Schema != nil:
		return shapeOf(more.Schema.Value, done)
	case more.Has != nil, counted, free:
		return strictjson.Whole(), nil
	default:
		return nil, nil
	}
}
