package api

import (
	"net/http"
	"strings"
)

// Strays says how requests below an API's paths are treated, whether or not they reach one of its operations.
type Strays struct {
	// Prefixes are the paths that belong to the API, in whole segments: /_matrix/client/v3. The longest match wins.
	Prefixes []string
	// CORS lets browsers of every origin in and answers OPTIONS with 204, without asking who calls (Matrix Client-Server
	// API, "Web Browser Clients").
	CORS bool
	// Unrecognized returns the body for an unknown path (404) or method (405). Nil is {errcode, error}.
	Unrecognized func(status int) any
}

// straysOf returns what applies to a path, the zero Strays when nothing does.
func (e *Engine) straysOf(path string) Strays {
	var best Strays
	length := -1
	for _, s := range e.strays {
		for _, prefix := range s.Prefixes {
			rest, ok := strings.CutPrefix(path, prefix)
			if ok && (rest == "" || rest[0] == '/') && len(prefix) > length {
				best, length = s, len(prefix)
			}
		}
	}
	return best
}

// allowEveryOrigin sets what the Matrix specification wants on every answer. Retry-After is one of the headers that
// scripts only see when it is exposed.
func allowEveryOrigin(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization")
	h.Set("Access-Control-Expose-Headers", "Retry-After, "+requestIDHeader)
}
