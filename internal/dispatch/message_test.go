package dispatch

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/monthkey"
	"github.com/pushgate/pushgate/internal/push"
)

func TestCompose(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{}`:                                 `{"ChannelId":"c"}`,
		` { "b" : 1.10 , "a" : [ 1e400 ] } `: `{"b":1.10,"a":[1e400],"ChannelId":"c"}`,
		`{"ChannelId":"own"}`:                `{"ChannelId":"own"}`,
		`{"channelId":"x","ChannelId":null}`: `{"channelId":"x","ChannelId":null}`,
		`{"<&>":"<&>","x":"\u00fc"}`:         `{"<&>":"<&>","x":"\u00fc","ChannelId":"c"}`,
	} {
		got, err := compose(push.Object(in), "c")
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	for _, in := range []string{``, `null`, `[]`, `"x"`, `{`, `{"a":}`, `{"a":1`} {
		_, err := compose(push.Object(in), "c")
		require.Error(t, err, in)
	}
}

func TestFit_ShortensInOrderOnCharacterBorders(t *testing.T) {
	t.Parallel()
	fill := func(n int, s string) string { return strings.Repeat(s, n) }
	for _, tt := range []struct {
		name, in string
		check    func(t *testing.T, m map[string]string)
	}{
		{"what fits stays", `{"Message":"` + fill(900, "x") + `"}`, func(t *testing.T, m map[string]string) {
			require.Len(t, m["Message"], 900)
		}},
		{"the message goes first", `{"ActorName":"` + fill(100, "a") + `","Product":"` + fill(100, "p") + `","Message":"` + fill(1000, "m") + `"}`, func(t *testing.T, m map[string]string) {
			require.Len(t, m["ActorName"], 100)
			require.Len(t, m["Product"], 100)
			require.True(t, strings.HasSuffix(m["Message"], "m..."))
		}},
		{"then the product", `{"id":"` + fill(700, "i") + `","ActorName":"` + fill(100, "a") + `","Product":"` + fill(400, "p") + `","message":"` + fill(240, "m") + `"}`, func(t *testing.T, m map[string]string) {
			require.Empty(t, strings.TrimSuffix(m["message"], "..."))
			require.True(t, strings.HasSuffix(m["Product"], "p..."))
			require.Len(t, m["ActorName"], 100)
		}},
		{"then the actor", `{"id":"` + fill(900, "i") + `","ActorName":"` + fill(400, "ä") + `","Product":"` + fill(100, "ö") + `","Message":"` + fill(240, "ü") + `"}`, func(t *testing.T, m map[string]string) {
			require.Empty(t, m["Message"])
			require.Empty(t, m["Product"])
			require.True(t, strings.HasSuffix(m["ActorName"], "ä..."))
		}},
		{"not inside a family", `{"Message":"` + fill(60, "👩‍👩‍👧‍👦") + `"}`, func(t *testing.T, m map[string]string) {
			text := strings.TrimSuffix(m["Message"], "...")
			require.Empty(t, strings.ReplaceAll(text, "👩‍👩‍👧‍👦", ""))
		}},
		{"what only looks long is not cut", `{"Message":"` + fill(200, `\u00fc`) + `","Identifier":"` + fill(20, `\u0041`) + `"}`, func(t *testing.T, m map[string]string) {
			require.Equal(t, fill(200, "ü"), m["Message"])
			require.Equal(t, fill(20, "A"), m["Identifier"])
		}},
		{"what nobody shortens is written shorter", `{"Identifier":"` + fill(180, `\u00fc`) + `","Message":"m"}`, func(t *testing.T, m map[string]string) {
			require.Equal(t, fill(180, "ü"), m["Identifier"])
			require.Equal(t, "m", m["Message"])
		}},
		{"not between a letter and its dots", `{"Message":"` + fill(500, "u\u0308") + `"}`, func(t *testing.T, m map[string]string) {
			require.True(t, strings.HasSuffix(m["Message"], "u\u0308..."))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, err := fit([]byte(tt.in), monthkey.MaxMessage)
			require.NoError(t, err)
			require.LessOrEqual(t, len(out), monthkey.MaxMessage)
			var m map[string]string
			require.NoError(t, json.Unmarshal(out, &m))
			tt.check(t, m)
		})
	}
	for _, in := range []string{`{"x":"` + fill(1018, "x") + `"}`, `{"Message":[` + fill(600, "1,") + `1]}`} {
		_, err := fit([]byte(in), monthkey.MaxMessage)
		require.ErrorIs(t, err, monthkey.ErrTooLong)
	}
}

// Whatever is shortened fits, is JSON, keeps every member and uses the room there is.
func FuzzFit(f *testing.F) {
	f.Add("Message", strings.Repeat("ü", 600), "Product", strings.Repeat("\"\\\u2028<", 200))
	f.Add("message", strings.Repeat("👩🏽‍🚀", 100), "x", "y")
	f.Add("ActorName", strings.Repeat("a b", 500), "Message", "")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		if !utf8.ValidString(name1+value1+name2+value2) || name1 == name2 {
			t.Skip()
		}
		in, err := json.Marshal(map[string]string{name1: value1, name2: value2})
		require.NoError(t, err)
		message, err := compose(in, "c")
		require.NoError(t, err)
		out, err := fit(message, monthkey.MaxMessage)
		if err != nil {
			require.ErrorIs(t, err, monthkey.ErrTooLong)
			return
		}
		require.LessOrEqual(t, len(out), monthkey.MaxMessage)
		var before, after map[string]string
		require.NoError(t, json.Unmarshal(message, &before))
		require.NoError(t, json.Unmarshal(out, &after))
		require.Len(t, after, len(before))
		for name, text := range after {
			if text != before[name] {
				require.Contains(t, shortenable(), name)
				require.True(t, strings.HasPrefix(before[name], strings.TrimSuffix(text, ellipsis)))
			}
		}
	})
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"*", "erp.x", true}, {"", "", true}, {"", "x", false}, {"erp.*", "erp.", true}, {"erp.*", "erp", false},
		{"*.new", "epa.documents.new", true}, {"*.new", "epa.documents.newer", false}, {"e?p", "eäp", true}, {"e?p", "ep", false},
		{"a*b*c", "aXbXbXc", true}, {"a*b*c", "aXbX", false}, {"**", "x", true}, {"[a]", "a", false}, {"erp.x", "ERP.X", false},
	} {
		require.Equal(t, tt.want, matches(tt.pattern, tt.text), "%s %s", tt.pattern, tt.text)
	}
}

func TestLetter_RoundTrip(t *testing.T) {
	t.Parallel()
	one, minus := int64(1), int64(-1)
	for _, l := range []letter{
		{id: "i", channel: "c", message: []byte("{}")},
		{id: "i", channel: "c", reference: push.NewText(""), message: []byte("m\x00\xff"), priority: push.Low},
		{id: "i", event: &push.Event{}, counts: push.Counts{Unread: &one}},
		{
			id: "i", priority: push.Low, counts: push.Counts{Unread: &minus, MissedCalls: &one}, tweaks: push.Object("{}"),
			event: &push.Event{ID: push.NewText("$"), Membership: push.NewText(""), UserIsTarget: true, Content: push.Object(`{"a":1.0}`)},
		},
	} {
		got, err := decodeLetter(l.encode())
		require.NoError(t, err)
		require.Equal(t, l.encode(), got.encode())
		require.Equal(t, l.event != nil, got.event != nil)
		require.Equal(t, l.reference, got.reference)
	}
}

func FuzzDecodeLetter(f *testing.F) {
	f.Add(letter{id: "i", channel: "c", message: []byte("{}")}.encode())
	f.Add(letter{id: "i", event: &push.Event{ID: push.NewText("$")}, counts: push.Counts{Unread: new(int64)}}.encode())
	f.Add([]byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decodeLetter(b)
		if err != nil {
			return
		}
		again, err := decodeLetter(l.encode())
		require.NoError(t, err)
		require.Equal(t, l.encode(), again.encode())
	})
}
