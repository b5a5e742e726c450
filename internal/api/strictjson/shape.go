package strictjson

// Shape says what is wanted of a value and of the values below it. The zero Shape wants scalars, and of an object or an
// array only that it is one. A Shape may refer to itself.
type Shape struct {
	// Members are the members that are read, by exact name.
	Members map[string]*Shape
	// Rest is for the members that Members does not name; nil skips them.
	Rest *Shape
	// Items is for the items of an array; nil skips them.
	Items *Shape
	// Verbatim keeps the source text of an object member beside its value; see Document.Bind.
	Verbatim bool
	// TextOnly reads an object member that is anything but a string as null.
	TextOnly bool
	// Measured adds the length of the value's source text to Document.Sizes.
	Measured bool
}

// Whole returns the shape of a value that is wanted entirely.
func Whole() *Shape {
	s := &Shape{}
	s.Rest, s.Items = s, s
	return s
}

// Document is a decoded body.
type Document struct {
	// Value is made of map[string]any, []any, string, json.Number, bool and nil.
	Value any
	// Sizes are the lengths in bytes of the measured values, in the order of the text.
	Sizes []int

	verbatim []verbatim
}

// verbatim is the source text of one member.
type verbatim struct {
	parent map[string]any
	name   string
	text   string
}
