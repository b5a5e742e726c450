package fcm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pushgate/pushgate/internal/push"
)

// template is everything in an app's messages that no notification changes, as JSON, made once from the options. It
// is immutable, so requests cannot bleed into each other (Sygnal shares one android object between them).
type template struct {
	// plain and sealed open the message up to its data: {"message":{"android":{...},...,"data":
	plain, sealed openings
	// data holds options.data; each notification's own members win.
	data []field
	// fixed is what the options' notification blocks take of the 4096 bytes, rounded up: their JSON text.
	fixed int
}

// openings holds one opening for each priority.
type openings struct{ high, low []byte }

func (o openings) of(prio push.Priority) []byte {
	if prio == push.Low {
		return o.low
	}
	return o.high
}

// newTemplate expects options that passed Check.
func newTemplate(options map[string]any) (*template, error) {
	t := &template{}
	blocks := []any{options["notification"]}
	if android, ok := options["android"].(map[string]any); ok {
		blocks = append(blocks, android["notification"])
	}
	for _, block := range blocks {
		if block == nil {
			continue
		}
		text, err := encode(block)
		if err != nil {
			return nil, err
		}
		t.fixed += len(text)
	}
	data, _ := options["data"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(data)) {
		text, err := encode(data[name])
		if err != nil {
			return nil, err
		}
		t.data = append(t.data, field{name: name, value: textOf(text)})
	}
	var err error
	if t.plain, err = bothOpenings(options); err != nil {
		return nil, err
	}
	if t.sealed, err = bothOpenings(withoutContent(options)); err != nil {
		return nil, err
	}
	return t, nil
}

func bothOpenings(options map[string]any) (openings, error) {
	high, err := opening(options, push.High)
	if err != nil {
		return openings{}, err
	}
	low, err := opening(options, push.Low)
	if err != nil {
		return openings{}, err
	}
	return openings{high: high, low: low}, nil
}

// opening writes the message up to its data. Android comes first, then the rest of the options in sorted order.
func opening(options map[string]any, prio push.Priority) ([]byte, error) {
	given, _ := options["android"].(map[string]any)
	android := make(map[string]any, len(given)+1)
	maps.Copy(android, given)
	android["priority"] = androidPriority(prio)

	out := []byte(`{"message":{`)
	add := func(name string, value any) error {
		text, err := encode(value)
		if err != nil {
			return fmt.Errorf("options.%s: %w", name, err)
		}
		out = append(append(appendQuoted(out, name), ':'), text...)
		out = append(out, ',')
		return nil
	}
	if err := add("android", android); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if name == "android" || name == "data" {
			continue
		}
		if err := add(name, options[name]); err != nil {
			return nil, err
		}
	}
	return append(out, `"data":`...), nil
}

// withoutContent drops what a person would see before the app has decrypted: on a notification block Android shows the
// block and never wakes the app (facts: gematik, FCM v1). How to deliver (ttl, apns, headers) stays.
func withoutContent(options map[string]any) map[string]any {
	out := make(map[string]any, len(options))
	maps.Copy(out, options)
	delete(out, "data")
	delete(out, "notification")
	for _, platform := range []string{"android", "webpush"} {
		given, ok := out[platform].(map[string]any)
		if !ok {
			continue
		}
		bare := make(map[string]any, len(given))
		maps.Copy(bare, given)
		delete(bare, "notification")
		out[platform] = bare
	}
	return out
}

// androidPriority is the spelling that Google's SDKs and Sygnal send.
func androidPriority(prio push.Priority) string {
	if prio == push.Low {
		return "normal"
	}
	return "high"
}

// encode writes JSON as FCM reads it, without the escapes that are only for HTML.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, fmt.Errorf("write as JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
