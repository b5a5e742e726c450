// Package importer turns the configuration of another push gateway into ours: Sygnal's and the gematik reference
// gateway's.
//
// It owns what each foreign key means here, and it accounts for every key: one that has no counterpart gets a note that
// says why. It reads no credential and starts nothing; the result is checked by internal/config like any other file.
package importer
