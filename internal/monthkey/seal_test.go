package monthkey_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pushgate/pushgate/internal/monthkey"
)

func TestFrame_GoldenBytes(t *testing.T) {
	t.Parallel()
	frame, err := monthkey.Frame([]byte("test"))
	require.NoError(t, err)
	want := append([]byte{0x50, 0x4e, 0x4d, 0x31, 0x03, 0xf6}, bytes.Repeat([]byte{0x20}, 1014)...)
	want = append(want, 0x74, 0x65, 0x73, 0x74)
	require.Equal(t, want, frame)
}

// A_27610: exactly 1024 bytes are encrypted, whatever the message.
func TestFrame_IsAlways1024Bytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		message := rapid.SliceOfN(rapid.Byte(), 0, monthkey.MaxMessage).Draw(rt, "message")
		frame, err := monthkey.Frame(message)
		require.NoError(rt, err)
		require.Len(rt, frame, 1024)
		back, err := monthkey.Unframe(frame)
		require.NoError(rt, err)
		require.True(rt, bytes.Equal(message, back))
	})
}

func TestFrame_MessageLimit(t *testing.T) {
	t.Parallel()
	require.Equal(t, 1018, monthkey.MaxMessage)
	frame, err := monthkey.Frame(make([]byte, 1018))
	require.NoError(t, err)
	require.Equal(t, []byte("PNM1\x00\x00"), frame[:6])
	for _, n := range []int{1019, 1025, 70000} {
		_, err = monthkey.Frame(make([]byte, n))
		require.ErrorIsf(t, err, monthkey.ErrTooLong, "%d bytes", n)
	}
}

func TestUnframe(t *testing.T) {
	t.Parallel()
	long := append([]byte("PNM1\xff\xff"), make([]byte, 65535)...)
	tests := []struct {
		name  string
		frame string
		want  string
		fails bool
	}{
		{"no padding, as the iOS tests send", "PNM1\x00\x00hello", "hello", false},
		{"padding of 5, as the iOS tests send", "PNM1\x00\x05     hello", "hello", false},
		{"padding that is no blank is not looked at", "PNM1\x00\x03xyzhello", "hello", false},
		{"nothing but padding", "PNM1\x00\x02  ", "", false},
		{"an empty message", "PNM1\x00\x00", "", false},
		{"the longest padding", string(long) + "end", "end", false},
		{"little endian would overrun", "PNM1\x05\x00     hello", "", true},
		{"padding overruns by one", "PNM1\x00\x06hello", "", true},
		{"empty", "", "", true},
		{"only the prefix", "PNM1", "", true},
		{"half a length", "PNM1\x00", "", true},
		{"another version", "PNM2\x00\x00hello", "", true},
		{"lower case", "pnm1\x00\x00hello", "", true},
		{"not at the start", " PNM1\x00\x00hello", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			message, err := monthkey.Unframe([]byte(tt.frame))
			if tt.fails {
				require.ErrorIs(t, err, monthkey.ErrFrame)
				require.Nil(t, message)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, string(message))
		})
	}
}

func FuzzUnframe(f *testing.F) {
	for _, seed := range []string{"", "PNM1", "PNM1\x00\x05     hello", "PNM1\xff\xffshort", "PNM2\x00\x00x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		message, err := monthkey.Unframe(frame)
		if err != nil {
			return
		}
		// Whatever is accepted is a header, the padding it names and the message, to the last byte.
		padding := int(binary.BigEndian.Uint16(frame[4:6]))
		require.Equal(t, "PNM1", string(frame[:4]))
		require.Equal(t, frame[6+padding:], message)
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte("test"))
	f.Add(bytes.Repeat([]byte("ö"), 509))
	f.Add(make([]byte, 1019))
	f.Fuzz(func(t *testing.T, message []byte) {
		frame, err := monthkey.Frame(message)
		if len(message) > 1018 {
			require.ErrorIs(t, err, monthkey.ErrTooLong)
			return
		}
		require.NoError(t, err)
		require.Len(t, frame, 1024)
		back, err := monthkey.Unframe(frame)
		require.NoError(t, err)
		require.True(t, bytes.Equal(message, back))
	})
}

func TestSeal_WireForm(t *testing.T) {
	t.Parallel()
	g := derive(t, vectorISS, "2023-10")
	for _, message := range []string{"", "test", strings.Repeat("ö", 509)} {
		sealed, err := g.Seal([]byte(message))
		require.NoError(t, err)
		require.Len(t, sealed, 1404)
		require.Equal(t, 1, strings.Count(sealed, "="), "1052 bytes leave exactly one padding character")
		raw, err := base64.StdEncoding.DecodeString(sealed)
		require.NoError(t, err)
		require.Len(t, raw, 12+1024+16)

		back, err := g.Open(sealed)
		require.NoError(t, err)
		require.Equal(t, message, string(back))
	}
}

// A nonce used twice under one key gives the key stream away, so retries must not repeat one.
func TestSeal_FreshNonceEachTime(t *testing.T) {
	t.Parallel()
	g := derive(t, vectorISS, "2023-10")
	seen := map[string]bool{}
	for range 1000 {
		sealed, err := g.Seal([]byte("the same message"))
		require.NoError(t, err)
		require.False(t, seen[sealed[:16]], "the first 12 bytes came twice")
		seen[sealed[:16]] = true
	}
}

func TestSeal_Refuses(t *testing.T) {
	t.Parallel()
	_, err := derive(t, vectorISS, "2023-10").Seal(make([]byte, 1019))
	require.ErrorIs(t, err, monthkey.ErrTooLong)
	_, err = monthkey.Generation{}.Seal([]byte("test"))
	require.ErrorIs(t, err, monthkey.ErrNoKeys)
	_, err = monthkey.Generation{}.Open("AAAA")
	require.ErrorIs(t, err, monthkey.ErrNoKeys)
}

func TestOpen_Refuses(t *testing.T) {
	t.Parallel()
	g := derive(t, vectorISS, "2023-10")
	next, err := g.Step()
	require.NoError(t, err)
	sealed, err := g.Seal([]byte("test"))
	require.NoError(t, err)
	flipped := "A" + sealed[1:]
	if flipped == sealed {
		flipped = "B" + sealed[1:]
	}
	_, err = next.Open(sealed)
	require.ErrorIs(t, err, monthkey.ErrOpen, "the key of another month")
	for name, text := range map[string]string{
		"empty":           "",
		"not Base64":      "!" + sealed[1:],
		"no padding":      sealed[:1403],
		"URL alphabet":    strings.Repeat("-_", 702),
		"with line break": sealed[:76] + "\r\n" + sealed[76:],
		"trailing break":  sealed + "\n",
		"cut off":         sealed[:1400],
		"only a nonce":    sealed[:16],
		"changed nonce":   flipped,
	} {
		_, err := g.Open(text)
		require.ErrorIsf(t, err, monthkey.ErrOpen, "%s", name)
	}
}

func BenchmarkSeal(b *testing.B) {
	g, message := derive(b, vectorISS, "2023-10"), []byte(strings.Repeat("m", 300))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = g.Seal(message)
	}
}

func BenchmarkOpen(b *testing.B) {
	g := derive(b, vectorISS, "2023-10")
	sealed, err := g.Seal([]byte(strings.Repeat("m", 300)))
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = g.Open(sealed)
	}
}
