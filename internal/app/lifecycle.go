package app

import (
	"context"
	"log/slog"
	"time"
)

// stopTimeout bounds a clean stop; a supervisor that kills after 30 s never cuts one short.
const stopTimeout = 25 * time.Second

// cleanup is one thing to undo, named for the log.
type cleanup struct {
	name string
	run  func(context.Context) error
}

// cleanups undo what was built, last first, so that nothing loses what it stands on before it ends itself.
type cleanups struct {
	log *slog.Logger
	all []cleanup
}

// add registers the clean-up of something that exists from this line on.
func (c *cleanups) add(name string, run func(context.Context) error) {
	c.all = append(c.all, cleanup{name, run})
}

// run undoes everything once, within one bound.
func (c *cleanups) run() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for i := len(c.all) - 1; i >= 0; i-- {
		if err := c.all[i].run(ctx); err != nil {
			c.log.Warn("not stopped cleanly", slog.String("part", c.all[i].name), slog.Any("error", err))
		}
	}
	c.all = nil
}
