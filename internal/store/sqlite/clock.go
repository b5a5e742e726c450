package sqlite

import "time"

// clock turns times into the unix microseconds that the database holds and back. It counts from the moment the store
// was opened by the monotonic clock where times carry one: a wall clock that jumps by a day while the process runs
// neither expires the queue nor holds it back.
type clock struct {
	base time.Time
	read func() time.Time
}

func newClock(now func() time.Time) clock { return clock{base: now(), read: now} }

func (c clock) now() int64 { return c.micros(c.read()) }

// micros returns 0 for the zero time.
func (c clock) micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return c.base.UnixMicro() + t.Sub(c.base).Microseconds()
}

// time is the way back of micros.
func (c clock) time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return c.base.Add(time.Duration(micros-c.base.UnixMicro()) * time.Microsecond)
}

// stamp and unstamp keep a time as it is: when something was accepted or died is a fact, not a schedule.
func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func unstamp(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros)
}
