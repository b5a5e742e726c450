package monthkey

// hidden keeps a value where fmt cannot follow. A type's Format method is not asked when the value sits in an unexported
// field of somebody else's struct; fmt then prints what it finds, and with a verb like %s it follows one pointer, but
// never two. The zero value holds nothing. Copies share the value, which nobody changes.
type hidden[T any] struct{ at **T }

func hide[T any](value *T) hidden[T] { return hidden[T]{at: &value} }

// get returns the value, nil when there is none.
func (h hidden[T]) get() *T {
	if h.at == nil {
		return nil
	}
	return *h.at
}
