package apns

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzJSONText compares the scanner and the writer with encoding/json.
func FuzzJSONText(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"b":[true,{"c":"d"}],"é":"\u00e9\ud83d\ude80"}`, `[]`, ` { } `, `"\"\\\/"`, `{"a":{"a":{"a":[[[]]]}}}`,
		"{\"a\"\t:\r\n1.10E+5 , \"b\": null}", `{"":""}`, `{"a":"}","b":"]"}`, `"\ud800"`, `-0.0`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		members, isObject := object(raw)
		if !json.Valid(raw) {
			require.False(t, isObject)
			return
		}
		var w writer
		w.value(raw)
		require.True(t, json.Valid(w.buf))
		require.Equal(t, anyValue(t, raw), anyValue(t, w.buf), "no value may change")
		require.LessOrEqual(t, len(w.buf), 3*len(raw))
		if !utf8.Valid(raw) {
			return // names compare as bytes, and nothing like it passes the edge
		}

		var want map[string]json.RawMessage
		if json.Unmarshal(raw, &want) != nil || want == nil {
			require.False(t, isObject)
		} else {
			require.True(t, isObject)
			for name, value := range want {
				require.Equal(t, string(value), string(find(members, name)))
			}
		}
		var list []json.RawMessage
		got, isList := elements(bytes.TrimSpace(raw))
		if json.Unmarshal(raw, &list) != nil || list == nil {
			require.False(t, isList)
			return
		}
		require.Len(t, got, len(list))
		for i := range list {
			require.Equal(t, string(list[i]), string(got[i]))
		}
	})
}

func anyValue(t *testing.T, raw []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v))
	return v
}

func TestWriter_CountsSeparatorsOutsideStringsOnly(t *testing.T) {
	t.Parallel()
	var w writer
	w.value([]byte(`{"a,:":[1,2,{"b":"x:,"}]}`))
	require.Equal(t, 4, w.separators)
	require.Equal(t, pythonSize(decode(t, w.buf)), w.measure())
}

// FuzzWriterString compares with encoding/json, which escapes more but means the same.
func FuzzWriterString(f *testing.F) {
	for _, seed := range []string{
		"", "plain", "12345678", "1234567\"", "1234567\\", "\x1f2345678", "1234567\x7f", "12345678ä", "\xff2345678", "!!!!!!!!\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var w writer
		w.str(s)
		want, err := json.Marshal(s)
		require.NoError(t, err)
		require.Equal(t, anyValue(t, want), anyValue(t, w.buf))
		if utf8.ValidString(s) {
			n := 2
			for _, r := range s {
				n += escapedLen(r)
			}
			require.Len(t, w.buf, n, "what is cut is what was counted")
		}
	})
}
