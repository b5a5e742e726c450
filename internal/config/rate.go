package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is so many per second, minute or hour: "10/s". The zero value stands for nothing at all and is not valid.
type Rate struct {
	Count int
	Per   time.Duration
}

// PerSecond returns the rate in events per second; Count is the burst that goes with it.
func (r Rate) PerSecond() float64 { return float64(r.Count) / r.Per.Seconds() }

// String returns the spelling of the file.
func (r Rate) String() string {
	switch r.Per {
	case time.Second:
		return fmt.Sprintf("%d/s", r.Count)
	case time.Minute:
		return fmt.Sprintf("%d/m", r.Count)
	case time.Hour:
		return fmt.Sprintf("%d/h", r.Count)
	default:
		return fmt.Sprintf("%d/%s", r.Count, r.Per)
	}
}

// UnmarshalText reads "10/s", "600/m" or "1000/h".
func (r *Rate) UnmarshalText(text []byte) error {
	count, per, _ := strings.Cut(string(text), "/")
	n, err := strconv.ParseUint(strings.TrimSpace(count), 10, 31)
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}
	unit, known := units[strings.TrimSpace(per)]
	if err != nil || n == 0 || !known {
		return errors.New("must be a rate like 10/s, 600/m or 1000/h")
	}
	*r = Rate{Count: int(n), Per: unit}
	return nil
}
