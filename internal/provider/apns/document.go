package apns

import (
	"container/heap"
	"slices"
)

// document is a payload of a Matrix event, in parts, so that what is shown can be shortened until it fits.
type document struct {
	aps  aps      // always there: Apple demands one
	rest []member // default_payload; what the other fields name is left out

	roomID, eventID     string // left out when empty
	unread, missedCalls *int64
}

// aps is Apple's part of a payload.
type aps struct {
	alert alert
	badge *int64
	rest  []member
}

// alert is what the phone shows. It is one of three: absent, a text, or an object.
type alert struct {
	text   *cuttable
	object bool
	key    string // our loc-key, empty to keep what rest says
	body   *cuttable
	args   []argument
	rest   []member
	other  []byte // of no shape Apple knows: null, a number, an array
}

// argument is one of loc-args: a text, or JSON that is nobody's business here.
type argument struct {
	text  *cuttable
	other []byte
}

// cuttable is a text that may be shortened to fit.
type cuttable struct {
	text  string
	order int
}

// parseAPS reads the aps of default_payload. What is no object, and Sygnal fails on, counts as an empty one.
func parseAPS(raw []byte) aps {
	all, _ := validObject(raw)
	return aps{alert: parseAlert(find(all, "alert")), rest: all}
}

func parseAlert(raw []byte) alert {
	if raw == nil {
		return alert{}
	}
	if s, ok := text(raw); ok {
		return alert{text: &cuttable{text: s}}
	}
	all, ok := validObject(raw)
	if !ok {
		return alert{other: raw}
	}
	a := alert{object: true, rest: all}
	if s, ok := text(find(all, "body")); ok {
		a.body = &cuttable{text: s}
	}
	list, _ := elements(find(all, "loc-args"))
	for _, raw := range list {
		if s, ok := text(raw); ok {
			a.args = append(a.args, argument{text: &cuttable{text: s}})
		} else {
			a.args = append(a.args, argument{other: raw})
		}
	}
	return a
}

// localise sets the text over whatever alert there was. A plain text becomes the body, which iOS shows to apps without
// that loc-key; Sygnal fails on it.
func (a *alert) localise(key string, args []string) {
	if a.text != nil {
		a.body = a.text
	}
	a.text, a.other, a.object, a.key = nil, nil, true, key
	a.args = a.args[:0]
	for _, s := range args {
		a.args = append(a.args, argument{text: &cuttable{text: s}})
	}
}

// fit writes the document to buf in at most limit bytes. Only what the phone shows can shrink.
//
// As in Sygnal the size is measured with a space behind each comma and colon, so the same texts are cut at the same
// characters. What is sent has no such spaces: where Sygnal gives up because the rest alone is too large by its measure,
// the bytes that are sent decide.
func (d *document) fit(buf []byte, limit int) ([]byte, result) {
	w := d.write(buf)
	if excess := w.measure() - limit; excess > 0 {
		texts := d.cuttables()
		if excess > texts.escapedLen() {
			excess = len(w.buf) - limit
		}
		texts.shorten(excess)
		w = d.write(buf)
	}
	if len(w.buf) > limit {
		return w.buf, resultTooLarge
	}
	return w.buf, resultSend
}

// cuttables lists the texts that may shrink, numbered in Sygnal's order.
func (d *document) cuttables() byLength {
	var all byLength
	add := func(c *cuttable) {
		if c != nil {
			c.order = len(all)
			all = append(all, c)
		}
	}
	add(d.aps.alert.text)
	add(d.aps.alert.body)
	for _, arg := range d.aps.alert.args {
		add(arg.text)
	}
	return all
}

// byLength is a heap with the longest text on top.
type byLength []*cuttable

func (h byLength) Len() int { return len(h) }
func (h byLength) Less(i, j int) bool {
	if len(h[i].text) != len(h[j].text) {
		return len(h[i].text) > len(h[j].text)
	}
	return h[i].order < h[j].order
}
func (h byLength) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *byLength) Push(x any)   { *h = append(*h, x.(*cuttable)) }
func (h *byLength) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// escapedLen returns how many bytes all the texts have as JSON, without their quotes.
func (h byLength) escapedLen() int {
	n := 0
	for _, c := range h {
		for _, r := range c.text {
			n += escapedLen(r)
		}
	}
	return n
}

// shorten removes characters, always the last one of the text that is longest in bytes at that moment, the first of
// equals, until excess bytes of JSON are gone or no text is left.
func (h *byLength) shorten(excess int) {
	heap.Init(h)
	for excess > 0 && h.Len() > 0 && (*h)[0].text != "" {
		longest := (*h)[0]
		size, escaped := lastRune(longest.text)
		longest.text = longest.text[:len(longest.text)-size]
		excess -= escaped
		heap.Fix(h, 0)
	}
}

// write writes the document over buf as compact JSON.
func (d *document) write(buf []byte) *writer {
	w := &writer{buf: append(buf[:0], '{')}
	w.name("aps")
	d.aps.write(w)
	own := []string{"aps"}
	str := func(name, value string) {
		if value != "" {
			own = append(own, name)
			w.name(name)
			w.str(value)
		}
	}
	num := func(name string, value *int64) {
		if value != nil {
			own = append(own, name)
			w.name(name)
			w.num(*value)
		}
	}
	str("room_id", d.roomID)
	str("event_id", d.eventID)
	num("unread_count", d.unread)
	num("missed_calls", d.missedCalls)
	writeRest(w, d.rest, own...)
	w.end('}')
	return w
}

func (a *aps) write(w *writer) {
	w.begin('{')
	own := []string{"alert"}
	switch {
	case a.alert.object:
		w.name("alert")
		a.alert.write(w)
	case a.alert.text != nil:
		w.name("alert")
		w.str(a.alert.text.text)
	case a.alert.other != nil:
		w.name("alert")
		w.value(a.alert.other)
	}
	if a.badge != nil {
		own = append(own, "badge")
		w.name("badge")
		w.num(*a.badge)
	}
	writeRest(w, a.rest, own...)
	w.end('}')
}

func (a *alert) write(w *writer) {
	w.begin('{')
	var own []string
	if a.key != "" {
		own = append(own, "loc-key")
		w.name("loc-key")
		w.str(a.key)
	}
	if len(a.args) > 0 || a.key != "" {
		own = append(own, "loc-args")
		w.name("loc-args")
		w.begin('[')
		for _, arg := range a.args {
			w.next()
			if arg.text != nil {
				w.str(arg.text.text)
			} else {
				w.value(arg.other)
			}
		}
		w.end(']')
	}
	if a.body != nil {
		own = append(own, "body")
		w.name("body")
		w.str(a.body.text)
	}
	writeRest(w, a.rest, own...)
	w.end('}')
}

// writeRest writes the members of default_payload that were not written already.
func writeRest(w *writer, rest []member, own ...string) {
	for _, m := range rest {
		if !slices.Contains(own, m.name) {
			w.name(m.name)
			w.value(m.value)
		}
	}
}
