// Package h2 is the server side of one HTTP/2 connection (RFC 9113), under full control of whoever serves it.
//
// net/http's server cannot do what push services do to their callers: announce another stream limit on a living
// connection, name a last stream id below streams in flight, refuse a stream, leave one unanswered for ever. This one
// can. It is made for small requests with small answers: a request is handed over when it is complete, on the reading
// goroutine, and answered then or later from anywhere.
//
// It owns framing, header compression, flow control and stream states. It does not own the listener, TLS, or any
// meaning of a request.
package h2
