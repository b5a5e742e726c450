package registry

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func TestKnown(t *testing.T) {
	t.Parallel()
	a, b, c := push.Hash{1}, push.Hash{2}, push.Hash{3}
	words := map[push.Hash]string{a: "a", b: "b", c: "c"}
	var asked []string
	broken := false
	find := func(h push.Hash) (string, bool, error) {
		if broken && h == c {
			return "", false, errors.New("the database is away")
		}
		word, ok := words[h]
		asked = append(asked, word)
		return word, ok, nil
	}
	var known Known[string]
	for _, step := range []struct {
		name   string
		broken bool
		list   []push.Hash
		want   map[push.Hash]string
		asked  []string
	}{
		{"the first listing asks", false, []push.Hash{a, b}, map[push.Hash]string{a: "a", b: "b"}, []string{"a", "b"}},
		{"the next does not", false, []push.Hash{b, a}, map[push.Hash]string{a: "a", b: "b"}, nil},
		{"what is not listed is forgotten", false, []push.Hash{a}, map[push.Hash]string{a: "a"}, nil},
		{"an error ends it", true, []push.Hash{a, b, c}, nil, []string{"b"}},
		{"what was found before is known", false, []push.Hash{a, b, c}, map[push.Hash]string{a: "a", b: "b", c: "c"}, []string{"c"}},
		{"what is not found is left out, and asked for again", false, []push.Hash{a, {9}}, map[push.Hash]string{a: "a"}, []string{""}},
		{"and again", false, []push.Hash{{9}}, map[push.Hash]string{}, []string{""}},
	} {
		asked, broken = nil, step.broken
		all, err := known.All(step.list, find)
		require.Equal(t, step.broken, err != nil, step.name)
		require.Equal(t, step.want, all, step.name)
		require.Equal(t, step.asked, asked, step.name)
	}
}
