package postgres

import "time"

// Times that are compared cross the wire as distances from now, in microseconds: the database adds its own clock. A
// node whose clock is wrong by a day still leases for a minute and expires after 24 hours.

// distance is how far t lies ahead of now; a zero time is now.
func distance(t, now time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Sub(now).Microseconds()
}

// ahead is the way back of distance.
func ahead(micros int64, now time.Time) time.Time {
	return now.Add(time.Duration(micros) * time.Microsecond)
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
