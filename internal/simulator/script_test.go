package simulator

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScripts_Order(t *testing.T) {
	t.Parallel()
	var s scripts
	take := func(token string) string {
		a, ok := s.next(token)
		if !ok {
			return "healthy"
		}
		return a.Reason
	}
	require.Equal(t, "healthy", take("a"))

	s.set("a", []Answer{{Reason: "one"}, {Reason: "two", Times: 2}, {Reason: "three"}})
	s.set(AnyToken, []Answer{{Reason: "any", Times: 2}})
	for _, want := range []string{"one", "two", "two", "three", "any", "any", "healthy", "healthy"} {
		require.Equal(t, want, take("a"))
	}

	s.set(AnyToken, []Answer{{Reason: "once"}, {Reason: "sticks", Times: Forever}, {Reason: "never"}})
	s.set("b", []Answer{{Reason: "own"}})
	for _, step := range [][2]string{{"a", "once"}, {"b", "own"}, {"b", "sticks"}, {"a", "sticks"}, {"c", "sticks"}} {
		require.Equal(t, step[1], take(step[0]))
	}

	s.set(AnyToken, []Answer{{Reason: "replaced"}})
	require.Equal(t, "replaced", take("a"))
	s.set("a", []Answer{{Reason: "x"}})
	s.set("a", nil)
	require.Equal(t, "healthy", take("a"))

	s.set("a", []Answer{{Reason: "x"}})
	s.clear()
	require.Equal(t, "healthy", take("a"))
}

func TestScripts_DoNotShareTheCallersSlice(t *testing.T) {
	t.Parallel()
	var s scripts
	answers := []Answer{{Reason: "x", Times: 3}}
	s.set("a", answers)
	s.set("b", answers)
	_, _ = s.next("a")
	require.Equal(t, 3, answers[0].Times)
	for range 3 {
		_, ok := s.next("b")
		require.True(t, ok)
	}
}
