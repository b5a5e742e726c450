package jsonscan

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func skim(text string) error {
	s := New([]byte(text))
	if err := s.Skip(); err != nil {
		return err
	}
	return s.End()
}

func TestSkip(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		`{}`, ` [ ] `, `null`, `true`, `false`, `"a"`, `0`, `-0`, `1.5e-3`, `1E5`, `{"a":{"a":[1,"x",null,true,{}]}}`,
		"\t{\r\n\"a\" : 1 , \"b\":2}\n", `"\u00e9\ud83d\ude00\n\"\\\/\b\f\r\t"`, `"é😀"`, `"\u0000"`,
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth),
	} {
		require.NoErrorf(t, skim(good), "%q", good)
		require.Truef(t, json.Valid([]byte(good)), "%q", good)
	}
	for name, bad := range map[string]string{
		"nothing": "", "space": " ", "comma at the end": `[1,]`, "comma at the end of an object": `{"a":1,}`,
		"no colon": `{"a" 1}`, "no comma": `[1 2]`, "name without quotes": `{a:1}`, "number as a name": `{1:1}`,
		"open object": `{"a":1`, "open array": `[1`, "open string": `"a`, "open escape": `"\`, "open unicode escape": `"\u12`,
		"leading zero": `01`, "plus": `+1`, "bare minus": `-`, "no fraction": `1.`, "no exponent": `1e`, "hex": `0x1`,
		"word": `nul`, "word in capitals": `True`, "NaN": `NaN`, "single quotes": `'a'`, "comment": `{}//`,
		"two values": `{} {}`, "control character": "\"\x01\"", "tab in a string": "\"\t\"", "unknown escape": `"\x"`,
		"not hex": `"\u12g4"`, "lone high surrogate": `"\ud83d"`, "lone low surrogate": `"\ude00"`,
		"two high surrogates": `"\ud83d\ud83d"`, "surrogate and text": `"\ud83dabcdef"`,
		"not UTF-8": "\"\xff\"", "cut UTF-8": "\"\xc3\"", "overlong UTF-8": "\"\xc0\x80\"", "surrogate in UTF-8": "\"\xed\xa0\x80\"",
		"not UTF-8 after an escape": "\"\\n\xff\"", "control after an escape": "\"\\n\x01\"",
		"duplicate": `{"a":1,"a":1}`, "duplicate by an escape": `{"a":1,"\u0061":1}`, "duplicate below": `[{"x":{"":1,"":2}}]`,
		"too deep": strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), "byte order mark": "\ufeff{}",
	} {
		require.Errorf(t, skim(bad), "%s: %q", name, bad)
	}
}

func TestSkip_DuplicateAmongMany(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 40 {
		b.WriteString(`"` + strings.Repeat("k", i) + `":1,`)
	}
	many := b.String()
	require.NoError(t, skim("{"+many+`"last":1}`))
	for _, again := range []int{0, 5, 15, 16, 17, 39} {
		require.ErrorContains(t, skim("{"+many+`"`+strings.Repeat("k", again)+`":1}`), "duplicate", again)
	}
}

func TestObject_HandsOutMembers(t *testing.T) {
	t.Parallel()
	s := New([]byte(`{"t":"a\u00e9\n😀","n":-1.50e+3,"b":true,"l":["x","y"],"o":{"z":null}}`))
	var got []string
	add := func(v []byte, err error) error {
		got = append(got, string(v))
		return err
	}
	require.NoError(t, s.Object(func(name []byte) error {
		got = append(got, string(name))
		switch string(name) {
		case "t":
			return add(s.Text())
		case "n":
			return add(s.Number())
		case "b":
			on, err := s.Bool()
			require.True(t, on)
			return err
		case "l":
			return s.Array(func() error { return add(s.Text()) })
		}
		require.Equal(t, Object, s.Kind())
		return s.Skip()
	}))
	require.NoError(t, s.End())
	require.Equal(t, []string{"t", "aé\n😀", "n", "-1.50e+3", "b", "l", "x", "y", "o"}, got)
}

func TestRead_WrongKind(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `[]`, `"a"`, `1`, `true`, `null`, ``, `x`} {
		kind := New([]byte(text)).Kind()
		_, errText := New([]byte(text)).Text()
		_, errNumber := New([]byte(text)).Number()
		_, errBool := New([]byte(text)).Bool()
		errObject := New([]byte(text)).Object(func([]byte) error { return nil })
		errArray := New([]byte(text)).Array(func() error { return nil })
		for want, err := range map[Kind]error{String: errText, Number: errNumber, Bool: errBool, Object: errObject, Array: errArray} {
			require.Equalf(t, kind == want, err == nil, "%q read as %d: %v", text, want, err)
		}
	}
}

func TestError_TellsWhere(t *testing.T) {
	t.Parallel()
	require.EqualError(t, skim(`{"a":1,}`), "offset 7: expected a member name")
}

// FuzzSkip: what we accept encoding/json accepts too; what we refuse beyond it has one of our four reasons.
func FuzzSkip(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"\u00e9",true,null]}`, `{"a":1,"a":2}`, `"\ud83d\ude00"`, "\"\xff\"", `1.5e3`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := skim(string(data))
		if valid := json.Valid(data); err == nil {
			require.True(t, valid)
		} else if valid && utf8.Valid(data) {
			require.Regexp(t, "duplicate|surrogate|too deep", err.Error())
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add([]byte(`"a\u00e9\n\"😀"`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := New(data).Text()
		if err != nil {
			return
		}
		s := New(data)
		_, _ = s.Text()
		var want string
		require.NoError(t, json.Unmarshal(data[:s.pos], &want))
		require.Equal(t, want, string(got))
	})
}

func BenchmarkSkip(b *testing.B) {
	text := []byte(`{"aps":{"alert":{"body":"New notification"},"mutable-content":1},"ciphertext":"` + strings.Repeat("A", 1404) + `","time_message_encrypted":"2026-07","key_identifier":"x"}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := New(text).Skip(); err != nil {
			b.Fatal(err)
		}
	}
}
