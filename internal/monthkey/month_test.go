package monthkey_test

import (
	"testing"
	"time"
	_ "time/tzdata" // Europe/Berlin must exist wherever the tests run

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pushgate/pushgate/internal/monthkey"
)

func TestParseMonth(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"0001-01", "2023-09", "2026-12", "9999-12"} {
		m, err := monthkey.ParseMonth(text)
		require.NoErrorf(t, err, "%s", text)
		require.True(t, m.Valid())
		require.Equal(t, text, m.String())
	}
	for name, text := range map[string]string{
		"empty": "", "month 0": "2023-00", "month 13": "2023-13", "year 0": "0000-12", "one digit": "2023-1",
		"three digits": "2023-010", "short year": "223-10", "long year": "12023-10", "no dash": "2023/10", "sign": "+023-10",
		"negative month": "2023--1", "with a day": "2023-10-01", "blank": "2023-1 ", "newline": "2023-10\n",
		"other digits": "٢٠٢٣-10", "letters": "yyyy-MM", "nul": "2023-1\x00",
	} {
		_, err := monthkey.ParseMonth(text)
		require.ErrorIsf(t, err, monthkey.ErrMonth, "%s", name)
	}
}

func TestMonth_ZeroIsNoMonth(t *testing.T) {
	t.Parallel()
	require.False(t, monthkey.Month(0).Valid())
	require.False(t, month(t, "0001-01").Valid() && (month(t, "0001-01")-1).Valid())
	require.False(t, month(t, "9999-12").Next().Valid())
}

func TestMonth_Order(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := monthkey.Month(rapid.IntRange(12, 9999*12+10).Draw(rt, "month"))
		next := m.Next()
		require.Equal(rt, -1, m.Compare(next))
		require.Equal(rt, 1, next.Compare(m))
		require.Zero(rt, m.Compare(m))
		require.Less(rt, m.String(), next.String(), "the texts sort as the months do")
		back, err := monthkey.ParseMonth(m.String())
		require.NoError(rt, err)
		require.Equal(rt, m, back)
	})
}

// The C++ Fachdienst takes the German day (facts: use Europe/Berlin).
func TestMonthOf_CountsGermanMidnights(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for _, tt := range []struct{ utc, want string }{
		{"2026-07-31T21:59:59Z", "2026-07"}, // summer: two hours ahead
		{"2026-07-31T22:00:00Z", "2026-08"},
		{"2026-12-31T22:59:59Z", "2026-12"}, // winter: one hour ahead, and a new year
		{"2026-12-31T23:00:00Z", "2027-01"},
	} {
		at, err := time.Parse(time.RFC3339, tt.utc)
		require.NoError(t, err)
		require.Equalf(t, tt.want, monthkey.MonthOf(at, berlin).String(), "%s", tt.utc)
	}
}
