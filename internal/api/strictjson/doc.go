// Package strictjson reads a request body once, and strictly, into the value that the contract check walks.
//
// It refuses what encoding/json lets pass and what two readers could understand in two ways: invalid UTF-8, a byte
// order mark, bytes after the value, an object that names a member twice (escapes resolved), nesting without end. Member
// names are kept as they are written, so `Ciphertext` never stands in for `ciphertext`.
//
// A Shape says which members somebody will read. Everything else is checked for syntax and skipped, so a hostile body
// costs no more memory than its own size, and values that are passed on verbatim (device data, event content) stay
// the caller's bytes: 1.10 stays 1.10.
//
// It owns no schema and no HTTP. Its errors say what is wrong and where, never what the body holds.
package strictjson
