package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestGlobMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"com.example.*", "com.example.app", true},
		{"com.example.*", "com.example.", true},
		{"com.example.*", "com.example", false},
		{"com.example.*", "xcom.example.app", false},
		{"com.example.?", "com.example.é", true},
		{"com.example.?", "com.example.ab", false},
		{"com.example.?", "com.example.", false},
		{"com?example", "com.example", true},
		{"com.example", "comXexample", false},
		{"Com.*", "com.example", false},
		{"*", "", true},
		{"*", "anything", true},
		{"?", "", false},
		{"**", "x", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"*.ios", "com.example.ios", true},
		{"*.ios", "com.example.ios.dev", false},
		{"*é?", "étét", true},
		{"*é?", "été", false},
		{"a*aaaa*b", strings.Repeat("a", 64), false},
	}
	for _, tt := range tests {
		t.Run(tt.pattern+" on "+tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, globMatch(tt.pattern, tt.name))
		})
	}
}

func TestGlobOverlap(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want bool
	}{
		{"com.example.*", "com.example.web.*", true},
		{"com.example.*", "com.other.*", false},
		{"*.ios", "com.*", true},
		{"*.ios", "*.android", false},
		{"a?c", "ab?", true},
		{"a?c", "a?d", false},
		{"a*", "?", true},
		{"a*", "?b", true},
		{"a*", "b?", false},
		{"*", "*", true},
		{"a*z", "a*y", false},
		{"*a*", "b*c", true},
		{"", "*", true},
		{"", "?", false},
	}
	for _, tt := range tests {
		t.Run(tt.a+" and "+tt.b, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, globOverlap(tt.a, tt.b))
			require.Equal(t, tt.want, globOverlap(tt.b, tt.a))
		})
	}
}

// Patterns of at most 3 symbols that meet at all do so in a text of at most 6 letters, so trying all of those is a proof.
func TestGlobOverlap_AgreesWithMatching(t *testing.T) {
	t.Parallel()
	texts := []string{""}
	for from := 0; len(texts) < 127; {
		end := len(texts)
		for _, text := range texts[from:end] {
			texts = append(texts, text+"a", text+"b")
		}
		from = end
	}
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.SampledFrom([]rune("ab*?")), 0, 3, -1)
		a, b := pattern.Draw(t, "a"), pattern.Draw(t, "b")
		common := false
		for _, text := range texts {
			common = common || globMatch(a, text) && globMatch(b, text)
		}
		require.Equal(t, common, globOverlap(a, b), "%q %q", a, b)
	})
}

func TestCheckPatterns(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		patterns []string
		want     []string
	}{
		{"exact beside pattern", []string{"com.example.*", "com.example.app"}, nil},
		{"exact twice", []string{"a", "b", "a"}, []string{`[2].app_id: "a" is already configured at [0]`}},
		{"pattern twice", []string{"a*", "a*"}, []string{`[1].app_id: "a*" is already configured at [0]`}},
		{"overlap", []string{"com.example.web.*", "x", "com.example.*"}, []string{`[2].app_id: "com.example.*" and "com.example.web.*" at [0] can match the same app_id`}},
		{"every problem at once", []string{"", "a*", "?", ""}, []string{
			"[0].app_id: is required", "[3].app_id: is required", `[2].app_id: "?" and "a*" at [1] can match the same app_id`,
		}},
		{"apart", []string{"com.a.*", "com.b.*", "*.c"}, []string{`[2].app_id: "*.c" and "com.a.*" at [0] can match the same app_id`, `[2].app_id: "*.c" and "com.b.*" at [1] can match the same app_id`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			CheckPatterns(tt.patterns, func(path, problem string) { got = append(got, path+": "+problem) })
			require.ElementsMatch(t, tt.want, got)
		})
	}
}

func TestCheckPatterns_TenThousandPatternsAreQuick(t *testing.T) {
	t.Parallel()
	patterns := make([]string, 10_000)
	for i := range patterns {
		patterns[i] = fmt.Sprintf("com.example%d.*", 10_000+i)
	}
	CheckPatterns(patterns, func(path, problem string) { t.Errorf("%s: %s", path, problem) })
}

func TestGlobSet_ExactBeatsPattern(t *testing.T) {
	t.Parallel()
	s := newGlobSet[string]()
	for _, p := range []string{"com.example.*", "com.example.app", "*.web", "x?"} {
		s.add(p, p)
	}
	for name, want := range map[string]string{
		"com.example.app": "com.example.app", "com.example.other": "com.example.*", "my.web": "*.web", "xy": "x?", "x": "", "": "", "com.exampl": "",
	} {
		got, ok := s.find(name)
		require.Equal(t, want, got, name)
		require.Equal(t, want != "", ok, name)
	}
}

func BenchmarkRoute(b *testing.B) {
	for _, apps := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("apps=%d", apps), func(b *testing.B) {
			s := newGlobSet[int]()
			for i := range apps {
				s.add(fmt.Sprintf("com.example.app%d", i), i)
			}
			for b.Loop() {
				_, _ = s.find("com.example.app0")
			}
		})
	}
}
