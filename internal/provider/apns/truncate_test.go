package apns

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// pythonSize is the size of a decoded JSON value as Python's json.dumps(ensure_ascii=False) writes it.
func pythonSize(v any) int {
	switch v := v.(type) {
	case map[string]any:
		n := 2 + 2*max(0, len(v)-1)
		for name, value := range v {
			n += pythonSize(name) + 2 + pythonSize(value)
		}
		return n
	case []any:
		n := 2 + 2*max(0, len(v)-1)
		for _, value := range v {
			n += pythonSize(value)
		}
		return n
	case string:
		n := 2
		for _, r := range v {
			switch {
			case strings.ContainsRune("\"\\\n\r\t\b\f", r):
				n += 2
			case r < 0x20:
				n += len(`\u0000`)
			default:
				n += utf8.RuneLen(r)
			}
		}
		return n
	default:
		return len(fmt.Sprint(v))
	}
}

// truncateSlowly is Sygnal's rule word by word: measure everything, take one character off the longest text, repeat.
func truncateSlowly(payload map[string]any, limit int) bool {
	type place struct {
		get func() string
		set func(string)
	}
	aps, _ := payload["aps"].(map[string]any)
	var places []place
	switch a := aps["alert"].(type) {
	case string:
		places = append(places, place{
			func() string { return aps["alert"].(string) }, func(s string) { aps["alert"] = s },
		})
	case map[string]any:
		if _, ok := a["body"].(string); ok {
			places = append(places, place{func() string { return a["body"].(string) }, func(s string) { a["body"] = s }})
		}
		args, _ := a["loc-args"].([]any)
		for i := range args {
			if _, ok := args[i].(string); ok {
				places = append(places, place{func() string { return args[i].(string) }, func(s string) { args[i] = s }})
			}
		}
	}
	for pythonSize(payload) > limit {
		longest := -1
		for i, p := range places {
			if longest < 0 || len(p.get()) > len(places[longest].get()) {
				longest = i
			}
		}
		if longest < 0 || places[longest].get() == "" {
			return false
		}
		text := places[longest].get()
		_, size := utf8.DecodeLastRuneInString(text)
		places[longest].set(text[:len(text)-size])
	}
	return true
}

func decode(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v map[string]any
	require.NoError(t, d.Decode(&v))
	return v
}

// requireSygnal builds n and compares with the slow rule.
func requireSygnal(t *testing.T, n push.Notification) {
	t.Helper()
	endless := payloads{limit: 1 << 30, badges: true}
	whole, what := endless.build(nil, n)
	require.Equal(t, resultSend, what)
	want := decode(t, whole)

	p := newPayloads(DefaultConfig(), true)
	got, what := p.build(nil, n)
	if !truncateSlowly(want, payloadLimit) {
		require.Equal(t, len(got) > payloadLimit, what == resultTooLarge)
		return
	}
	require.Equal(t, resultSend, what)
	require.Equal(t, want, decode(t, got))
	require.True(t, utf8.Valid(got))
}

func TestTruncate_AsSygnal(t *testing.T) {
	t.Parallel()
	body := func(s string) push.Notification {
		raw, err := json.Marshal(map[string]string{"msgtype": "m.text", "body": s})
		require.NoError(t, err)
		return event(func(e *push.Event) { e.Content = raw })
	}
	for name, n := range map[string]push.Notification{
		"ASCII":             body(strings.Repeat("x", 5000)),
		"two bytes":         body(strings.Repeat("ä", 2500)),
		"four bytes":        body(strings.Repeat("🚀", 1500)),
		"escapes":           body(strings.Repeat("\"\\\n\x01", 500)),
		"mixed":             body(strings.Repeat("a\"ä🚀\x1f€", 400)),
		"several long ones": with(body(strings.Repeat("b", 3000)), func(n *push.Notification) { n.Event.RoomName = push.NewText(strings.Repeat("r", 1024)) }),
		"all long": with(body(strings.Repeat("ü", 3000)), func(n *push.Notification) {
			n.Event.RoomName, n.Event.SenderDisplayName = push.NewText(strings.Repeat("ä", 1024)), push.NewText(strings.Repeat("ö", 1024))
		}),
		"default body":       withData(body(strings.Repeat("b", 3000)), `{"default_payload":{"aps":{"alert":{"body":"`+strings.Repeat("d", 3000)+`"}}}}`),
		"default alert text": withData(body(strings.Repeat("b", 3000)), `{"default_payload":{"aps":{"alert":"`+strings.Repeat("d", 3000)+`"}}}`),
		"id only":            withData(push.Notification{Event: &push.Event{ID: push.NewText("$e")}}, `{"default_payload":{"aps":{"alert":"`+strings.Repeat("d", 5000)+`"}}}`),
		"many args":          withData(push.Notification{Event: &push.Event{ID: push.NewText("$e")}}, `{"default_payload":{"aps":{"alert":{"loc-args":["`+strings.Repeat(`xyz","`, 700)+`"]}}}}`),
		"nothing to cut":     withData(body("short"), `{"default_payload":{"x":"`+strings.Repeat("d", 5000)+`"}}`),
		"no aps":             withData(push.Notification{Event: &push.Event{ID: push.NewText("$e")}}, `{"default_payload":{"x":"`+strings.Repeat("d", 5000)+`"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireSygnal(t, n)
		})
	}
}

// TestTruncate_AtTheLimit steps over the limit byte by byte: 4096 as Sygnal counts are whole, one more costs one.
func TestTruncate_AtTheLimit(t *testing.T) {
	t.Parallel()
	build := func(length int) (map[string]any, int) {
		p := newPayloads(DefaultConfig(), true)
		n := event(func(e *push.Event) {
			e.Content = push.Object(`{"msgtype":"m.text","body":"` + strings.Repeat("x", length) + `"}`)
		})
		got, what := p.build(nil, n)
		require.Equal(t, resultSend, what)
		v := decode(t, got)
		args := v["aps"].(map[string]any)["alert"].(map[string]any)["loc-args"].([]any)
		return v, len(args[2].(string))
	}
	v, kept := build(100)
	fits := payloadLimit - pythonSize(v) + kept
	for length := fits - 2; length <= fits+3; length++ {
		v, kept := build(length)
		require.Equal(t, min(length, fits), kept)
		require.LessOrEqual(t, pythonSize(v), payloadLimit)
	}
}

// TestTruncate_WhatFitsIsSent: where Sygnal fails for ever because of its spaces, the bytes that are sent decide.
func TestTruncate_WhatFitsIsSent(t *testing.T) {
	t.Parallel()
	p := newPayloads(DefaultConfig(), true)
	list := strings.Repeat("1,", 1900) + "1"
	n := withData(event(nil), `{"default_payload":{"list":[`+list+`]}}`)
	got, what := p.build(nil, n)
	require.Equal(t, resultSend, what)
	require.LessOrEqual(t, len(got), payloadLimit)
	require.Greater(t, pythonSize(decode(t, got)), payloadLimit)
	require.Contains(t, string(got), list)
	require.Contains(t, string(got), "floating", "there is room for the text")
}

func TestTruncate_VoIP(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.PushType = pushTypeVoIP
	p := newPayloads(cfg, true)
	got, what := p.build(nil, event(func(e *push.Event) {
		e.Content = push.Object(`{"msgtype":"m.text","body":"` + strings.Repeat("x", 9000) + `"}`)
	}))
	require.Equal(t, resultSend, what)
	require.Equal(t, payloadLimitVoIP, pythonSize(decode(t, got)))
}

// TestTruncate_IsNotQuadratic: a text of a megabyte takes Sygnal's rule minutes.
func TestTruncate_IsNotQuadratic(t *testing.T) {
	t.Parallel()
	n := event(func(e *push.Event) {
		e.Content = push.Object(`{"msgtype":"m.text","body":"` + strings.Repeat("ä", 500_000) + `"}`)
	})
	p := newPayloads(DefaultConfig(), true)
	_, what := p.build(nil, n)
	require.Equal(t, resultSend, what)
}

func FuzzTruncate(f *testing.F) {
	f.Add("body", "room", "sender", "default", 10)
	f.Add("ä\"\\\n", "🚀", "", "x\u2028", 700)
	f.Fuzz(func(t *testing.T, body, room, sender, fallback string, times int) {
		if times < 0 || times*(len(body)+len(fallback)) > 20_000 {
			return
		}
		content, err := json.Marshal(map[string]string{"msgtype": "m.text", "body": strings.Repeat(body, times)})
		require.NoError(t, err)
		data, err := json.Marshal(map[string]any{"default_payload": map[string]any{"aps": map[string]any{
			"alert": map[string]any{"body": strings.Repeat(fallback, times)},
		}}})
		require.NoError(t, err)
		n := withData(event(func(e *push.Event) {
			e.Content, e.RoomName, e.SenderDisplayName = content, push.NewText(room), push.NewText(sender)
		}), string(data))
		if !utf8.ValidString(room) || !utf8.ValidString(sender) {
			return // the edge refuses it, and repairing changes lengths
		}
		requireSygnal(t, n)
	})
}
