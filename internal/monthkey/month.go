package monthkey

import (
	"errors"
	"fmt"
	"time"
)

// ErrMonth marks a text that is not a month.
var ErrMonth = errors.New("not a month of the form yyyy-MM")

// Month is a calendar month, counted from January of year 0. The zero value is no month; the first valid one is 0001-01
// and the last 9999-12. Months compare with < and >, and their difference is a number of months.
type Month int32

// lastMonth is 9999-12: beyond it the four digits of yyyy-MM end.
const lastMonth = Month(9999*12 + 11)

// ParseMonth reads exactly yyyy-MM in ASCII digits, 0001-01 to 9999-12. The error never repeats the text.
func ParseMonth(s string) (Month, error) {
	if len(s) != len("yyyy-MM") || s[4] != '-' {
		return 0, ErrMonth
	}
	n := [2]int{}
	for i, part := range [2]string{s[:4], s[5:]} {
		for _, c := range []byte(part) {
			if c < '0' || c > '9' {
				return 0, ErrMonth
			}
			n[i] = n[i]*10 + int(c-'0')
		}
	}
	year, month := n[0], n[1]
	if year < 1 || month < 1 || month > 12 {
		return 0, ErrMonth
	}
	return newMonth(year, month), nil
}

// MonthOf returns the month that t falls into at loc. Senders use Europe/Berlin: a German evening must not belong to the
// month before because the server counts in UTC.
func MonthOf(t time.Time, loc *time.Location) Month {
	year, month, _ := t.In(loc).Date()
	return newMonth(year, int(month))
}

func newMonth(year, month int) Month { return Month(year*12 + month - 1) }

// String returns yyyy-MM, the info of the derivation step and the wire form.
func (m Month) String() string { return fmt.Sprintf("%04d-%02d", m/12, m%12+1) }

// Valid reports whether m has a form yyyy-MM.
func (m Month) Valid() bool { return m >= newMonth(1, 1) && m <= lastMonth }

// Next returns the following month. After 9999-12 it is no longer Valid.
func (m Month) Next() Month { return m + 1 }

// Compare returns a negative number when m is earlier than other, zero when they are the same, else a positive one.
func (m Month) Compare(other Month) int { return int(m - other) }
