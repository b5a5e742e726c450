package monthkey_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pushgate/pushgate/internal/monthkey"
)

// vectorISS is the secret of every published vector: SHA-256 of "test" plus newline.
const vectorISS = "f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2"

// vectors are published by the concept paper, the C++ Fachdienst, the iOS and the Android app; the two of 2023-12 and
// 2024-01 were computed with an independent HKDF. The two chains share the ISS and start in different months.
var vectors = []struct{ start, month, secret, key string }{
	{"2023-10", "2023-10", "185fed66ea5cabbe00147bbd298b5dab0ed41b57ab254d35897b3a4504306e3b", "3b4adcd58dea98db8e9cb0f5763fcd04fe932d67926cc04b20ba2a2f304ffff9"},
	{"2023-10", "2023-11", "0c8662d90b04818afb317406fe7fcfcf8d103cd9bc6ad7847890d28620e85ec3", "39aa5dacd538f53f4b956d84c9b8f2e26933274d160b9fd1a263a27681c6331b"},
	{"2023-10", "2023-12", "64d15702e8b1d716cd5a5e3adc16e3e6ccf993c9f7a61724fee8aa5dd28d5363", "fa8e3de84f74451644289b97022f647543ad750e4cc6dc9ae883109438dbef31"},
	{"2023-10", "2024-01", "8ae00cb33ebbc08a4507e637856b0677b8f23e068e0009805bfebbcd08258d50", "b4fd959856cfcff43d3ad09e5cf29429dfab590fbebd1841db03ef550ffc2a22"},
	{"2023-09", "2023-09", "f099ac874c05856b815ac88a93a628df5fd28b8cddd1a88ce53d7b3a3e3563e6", "e2957d2f86ee3bc8e567c48e7f27c31870504af06e1bed8dde2ed910a0b252e8"},
	{"2023-09", "2023-10", "039caceaa77b2cb9c8d35561389ae0f8740d49404b5b2eb23f00a51a4dfbfd54", "cbfe3ae30ef49df59fca17c88d60392927ae15923641f22366f82a1203624a70"},
}

func TestDerive_GoldenVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.start+" to "+v.month, func(t *testing.T) {
			t.Parallel()
			g, err := derive(t, vectorISS, v.start).StepTo(month(t, v.month))
			require.NoError(t, err)
			keys := g.RevealKeys()
			require.Equal(t, v.secret, hex.EncodeToString(keys[:32]), "shared secret")
			require.Equal(t, v.key, hex.EncodeToString(keys[32:]), "AES key")
			require.Equal(t, v.month, g.Month().String())
		})
	}
}

func TestStepTo_EqualsSingleSteps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		start := monthkey.Month(rapid.IntRange(1900*12, 2200*12).Draw(rt, "start"))
		steps := rapid.IntRange(0, 30).Draw(rt, "steps")
		iss, err := monthkey.ParseISS(hex.EncodeToString(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "iss")))
		require.NoError(rt, err)
		first, err := monthkey.Derive(iss, start)
		require.NoError(rt, err)

		single := first
		for range steps {
			single, err = single.Step()
			require.NoError(rt, err)
		}
		// Stopping on the way must not matter either: a sender steps when it sends, not on the first of a month.
		half, err := first.StepTo(start + monthkey.Month(steps/2))
		require.NoError(rt, err)
		whole, err := half.StepTo(start + monthkey.Month(steps))
		require.NoError(rt, err)
		require.True(rt, whole.Equal(single))
		require.Equal(rt, start+monthkey.Month(steps), whole.Month())
	})
}

func TestStep_CrossesTheYear(t *testing.T) {
	t.Parallel()
	g, err := derive(t, vectorISS, "2023-12").Step()
	require.NoError(t, err)
	require.Equal(t, "2024-01", g.Month().String())
}

func TestStepTo_Bounds(t *testing.T) {
	t.Parallel()
	from := derive(t, vectorISS, "2000-01")
	last := derive(t, vectorISS, "9999-12")
	tests := []struct {
		name  string
		from  monthkey.Generation
		to    monthkey.Month
		wants error
	}{
		{"its own month", from, month(t, "2000-01"), nil},
		{"a hundred years", from, month(t, "2100-01"), nil},
		{"a month more", from, month(t, "2100-02"), monthkey.ErrTooFar},
		{"the month before", from, month(t, "1999-12"), monthkey.ErrPast},
		{"no month", from, 0, monthkey.ErrPast},
		{"behind the calendar", last, month(t, "9999-12").Next(), monthkey.ErrTooFar},
		{"no keys", monthkey.Generation{}, month(t, "2000-01"), monthkey.ErrNoKeys},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := tt.from.StepTo(tt.to)
			require.ErrorIs(t, err, tt.wants)
			if tt.wants == nil {
				require.Equal(t, tt.to, g.Month())
				return
			}
			require.True(t, g.IsZero())
		})
	}
	_, err := last.Step()
	require.ErrorIs(t, err, monthkey.ErrTooFar)
	_, err = monthkey.Generation{}.Step()
	require.ErrorIs(t, err, monthkey.ErrNoKeys)
}

func TestDerive_NeedsASecretAndAMonth(t *testing.T) {
	t.Parallel()
	_, err := monthkey.Derive(monthkey.ISS{}, month(t, "2023-10"))
	require.ErrorIs(t, err, monthkey.ErrNoKeys)
	_, err = monthkey.Derive(iss(t, vectorISS), 0)
	require.ErrorIs(t, err, monthkey.ErrMonth)
}

func TestParseISS(t *testing.T) {
	t.Parallel()
	upper, err := monthkey.ParseISS(strings.ToUpper(vectorISS))
	require.NoError(t, err)
	a, err := monthkey.Derive(upper, month(t, "2023-10"))
	require.NoError(t, err)
	require.True(t, a.Equal(derive(t, vectorISS, "2023-10")), "hex digits of either case are the same secret")

	for name, text := range map[string]string{
		"empty":         "",
		"63 digits":     vectorISS[1:],
		"65 digits":     vectorISS + "0",
		"66 digits":     vectorISS + "00",
		"not hex":       vectorISS[:63] + "g",
		"leading blank": " " + vectorISS[1:],
		"0x":            "0x" + vectorISS[2:],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := monthkey.ParseISS(text)
			require.Equal(t, monthkey.ErrISS, err, "and the text is not part of the error")
		})
	}
}

func TestRestoreGeneration(t *testing.T) {
	t.Parallel()
	g := derive(t, vectorISS, "2023-10")
	back, err := monthkey.RestoreGeneration(g.Month(), g.RevealKeys())
	require.NoError(t, err)
	require.True(t, back.Equal(g))

	kept := g.RevealKeys()
	g.RevealKeys()[0] ^= 1
	require.Equal(t, kept, g.RevealKeys(), "what was revealed is a copy")

	for name, keys := range map[string][]byte{"none": nil, "63 bytes": make([]byte, 63), "65 bytes": make([]byte, 65)} {
		_, err := monthkey.RestoreGeneration(g.Month(), keys)
		require.ErrorIsf(t, err, monthkey.ErrKeys, "%s", name)
	}
	_, err = monthkey.RestoreGeneration(0, g.RevealKeys())
	require.ErrorIs(t, err, monthkey.ErrMonth)
	require.Nil(t, monthkey.Generation{}.RevealKeys())
}

func TestEqual(t *testing.T) {
	t.Parallel()
	g := derive(t, vectorISS, "2023-10")
	otherMonth, err := monthkey.RestoreGeneration(g.Month().Next(), g.RevealKeys())
	require.NoError(t, err)
	flip := func(i int) monthkey.Generation {
		keys := g.RevealKeys()
		keys[i] ^= 1
		other, err := monthkey.RestoreGeneration(g.Month(), keys)
		require.NoError(t, err)
		return other
	}
	require.True(t, g.Equal(g))
	require.False(t, g.Equal(otherMonth))
	require.False(t, g.Equal(flip(0)), "another secret")
	require.False(t, g.Equal(flip(63)), "another key")
	require.False(t, g.Equal(monthkey.Generation{}))
	require.False(t, monthkey.Generation{}.Equal(g))
	require.True(t, monthkey.Generation{}.Equal(monthkey.Generation{}))
}

func iss(t testing.TB, hexDigits string) monthkey.ISS {
	t.Helper()
	s, err := monthkey.ParseISS(hexDigits)
	require.NoError(t, err)
	return s
}

func month(t testing.TB, text string) monthkey.Month {
	t.Helper()
	m, err := monthkey.ParseMonth(text)
	require.NoError(t, err)
	return m
}

func derive(t testing.TB, hexDigits, created string) monthkey.Generation {
	t.Helper()
	g, err := monthkey.Derive(iss(t, hexDigits), month(t, created))
	require.NoError(t, err)
	return g
}

func BenchmarkDerive(b *testing.B) {
	secret, created := iss(b, vectorISS), month(b, "2023-10")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = monthkey.Derive(secret, created)
	}
}

func BenchmarkStepTo_AYear(b *testing.B) {
	g, to := derive(b, vectorISS, "2023-10"), month(b, "2024-10")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = g.StepTo(to)
	}
}
