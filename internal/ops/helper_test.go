package ops_test

import "context"

// check works until its error is set.
func check(err *error) func(context.Context) (any, error) {
	return func(context.Context) (any, error) { return nil, *err }
}
