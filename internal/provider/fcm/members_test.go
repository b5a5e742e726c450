package fcm

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEachMember(t *testing.T) {
	t.Parallel()
	type member struct{ name, value string }
	for name, tt := range map[string]struct {
		object string
		want   []member
		ok     bool
	}{
		"empty":            {` { } `, nil, true},
		"kinds":            {`{"a":"x","b":-1.50e+3,"c":true,"d":null,"e":[1,[2]],"f":{"g":{}}}`, []member{{"a", `"x"`}, {"b", `-1.50e+3`}, {"c", `true`}, {"d", `null`}, {"e", `[1,[2]]`}, {"f", `{"g":{}}`}}, true},
		"blanks":           {" {\n\"a\" :\t1 , \"b\" : [ 1 , 2 ] }\r\n", []member{{"a", `1`}, {"b", `[ 1 , 2 ]`}}, true},
		"order and repeat": {`{"b":1,"a":2,"b":3}`, []member{{"b", `1`}, {"a", `2`}, {"b", `3`}}, true},
		"borders in texts": {`{"a\"}":"},{\\","b":["]\"",{"c":"}"}]}`, []member{{`a"}`, `"},{\\"`}, {"b", `["]\"",{"c":"}"}]`}}, true},
		"escaped name":     {`{"\u0061":1}`, []member{{"a", `1`}}, true},
		"list":             {`[{"a":1}]`, nil, false},
		"text":             {`"a"`, nil, false},
		"null":             {`null`, nil, false},
		"nothing":          {``, nil, false},
		"blank":            {` `, nil, false},
		"cut off":          {`{"a":1`, nil, false},
		"two":              {`{"a":1}{}`, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []member
			ok := eachMember([]byte(tt.object), func(name string, value []byte) { got = append(got, member{name, string(value)}) })
			require.Equal(t, tt.ok, ok)
			require.Equal(t, tt.want, got)
		})
	}
}

// FuzzEachMember compares with encoding/json, which knows neither order nor repeats.
func FuzzEachMember(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"b":[{"c":"\"}"}],"a":2}`, `{"x":1e5 }`, `[]`, `{"a":"\ud800"}`, "{\"\xff\":1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		var want map[string]json.RawMessage
		valid := json.Unmarshal(object, &want) == nil && want != nil
		got := map[string]json.RawMessage{}
		require.Equal(t, valid, eachMember(object, func(name string, value []byte) {
			got[name] = value
			require.True(t, json.Valid(value))
			require.Equal(t, strings.TrimSpace(string(value)), string(value))
			text := textOf(value)
			if value[0] != '"' {
				require.True(t, json.Valid([]byte(text)))
			}
		}))
		if valid {
			require.Equal(t, want, got)
		}
	})
}

// FuzzAppendQuoted compares with encoding/json.
func FuzzAppendQuoted(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n\x00\x1f", "é🚀\u2028<>&", "a\xffb\xe2\x82", "\ufffd"} {
		f.Add(s)
		f.Add("sixteen plain b." + s)
	}
	for c := range 256 { // each byte in each place of a word
		f.Add(strings.Repeat("x", c%8) + string([]byte{byte(c)}) + "xxxxxxxx")
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		quoted := appendQuoted([]byte("x"), s)[1:]
		require.NoError(t, json.Unmarshal(quoted, &got))
		text, err := json.Marshal(s)
		require.NoError(t, err)
		var want string
		require.NoError(t, json.Unmarshal(text, &want))
		require.Equal(t, want, got)
	})
}
