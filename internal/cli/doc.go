// Package cli is the command line: it reads flags, calls one thing and prints.
//
// It owns the commands' names, their help and their output. What a command does lives in the room it belongs to.
package cli
