package auth

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"
)

// flights merges equal questions that are asked at the same time. A question outlives the caller who asked it first:
// others may be waiting for the answer.
type flights[T any] struct {
	group singleflight.Group
	ctx   context.Context // the lifetime of questions, ended by land
	land  context.CancelFunc
}

func newFlights[T any]() *flights[T] {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:gosec // land calls it
	return &flights[T]{ctx: ctx, land: cancel}
}

// do asks, at most once at a time for a key and for at most timeout, and waits for the answer or for ctx.
func (f *flights[T]) do(ctx context.Context, key string, timeout time.Duration, ask func(context.Context) (T, error)) (T, error) {
	select {
	case r := <-f.start(key, timeout, ask):
		answer, _ := r.Val.(T)
		return answer, r.Err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// start asks without waiting.
func (f *flights[T]) start(key string, timeout time.Duration, ask func(context.Context) (T, error)) <-chan singleflight.Result {
	return f.group.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(f.ctx, timeout)
		defer cancel()
		return ask(ctx)
	})
}
