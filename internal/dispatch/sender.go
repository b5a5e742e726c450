package dispatch

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// MatrixChannel stands for Matrix events in a sender's channels, as they have no channel of their own.
const MatrixChannel = "matrix"

// Sender is a backend that submits events, as one line of the configuration's senders.
type Sender struct {
	// Name is the subject alternative name that identifies it. Idempotency keys are its own.
	Name string
	// Channels are what it may send to: exact ids, or patterns with * (any run, also empty) and ? (one character).
	Channels []string
}

// May reports whether the sender may send to a channel.
func (s Sender) May(channel string) bool {
	return slices.ContainsFunc(s.Channels, func(pattern string) bool { return matches(pattern, channel) })
}

// matches compares a text with a pattern, both ends anchored. Only the last star ever has to be tried again.
func matches(pattern, text string) bool {
	retry, mark := "", ""
	starred := false
	for text != "" {
		if rest, ok := strings.CutPrefix(pattern, "*"); ok {
			pattern, retry, mark, starred = rest, rest, text, true
			continue
		}
		_, width := utf8.DecodeRuneInString(text)
		if rest, ok := strings.CutPrefix(pattern, "?"); ok {
			pattern, text = rest, text[width:]
			continue
		}
		if rest, ok := strings.CutPrefix(pattern, text[:width]); ok {
			pattern, text = rest, text[width:]
			continue
		}
		if !starred {
			return false
		}
		_, width = utf8.DecodeRuneInString(mark)
		mark = mark[width:]
		pattern, text = retry, mark
	}
	return strings.Trim(pattern, "*") == ""
}
