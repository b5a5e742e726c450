package push

import "context"

// requestIDKey is the key of the request id in a context.
type requestIDKey struct{}

// WithRequestID returns a context that carries the id of the request it serves, for log lines.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id of the request that ctx serves, empty when there is none. It is safe to log: letters, digits
// and -_.: only, at most 64 of them.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
