// Package pgtest gives tests a fresh PostgreSQL database: on the server that TEST_POSTGRES_URL names, else on a
// throw-away server that it starts on 127.0.0.1 from the machine's own PostgreSQL, as an unprivileged user.
//
// It owns that server, its directory and its end. It knows nothing of our schema.
package pgtest
