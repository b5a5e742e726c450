package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRenameStrings(t *testing.T) {
	t.Parallel()
	text := func(s string) []byte { return append([]byte{stringField<<3 | wireBytes, byte(len(s))}, s...) }
	shorten := func(s string) string { return s[len(s)-1:] }
	tests := []struct {
		name string
		in   []byte
		want []byte
		err  error
	}{
		{"nothing", nil, nil, nil},
		{"a string", text("ab"), text("b"), nil},
		{"two strings", append(text("ab"), text("cd")...), append(text("b"), text("d")...), nil},
		{"another message", []byte{2<<3 | wireBytes, 1, 'x'}, []byte{2<<3 | wireBytes, 1, 'x'}, nil},
		{"a number", []byte{9 << 3, 0x96, 1}, []byte{9 << 3, 0x96, 1}, nil},
		{"longer than the text", []byte{stringField<<3 | wireBytes, 5, 'x'}, nil, errProfile},
		{"cut off", []byte{stringField<<3 | wireBytes}, nil, errProfile},
		{"a kind that profiles do not have", []byte{1<<3 | 5, 0, 0, 0, 0}, nil, errProfile},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := renameStrings(tt.in, shorten)
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.want, got)
		})
	}
}
