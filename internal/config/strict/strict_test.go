package strict_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/config/strict"
)

// document has one key of every kind that a configuration may have.
type document struct {
	Name    string            `yaml:"name"`
	On      bool              `yaml:"on"`
	Wait    time.Duration     `yaml:"wait"`
	Limit   int               `yaml:"limit"`
	Port    uint16            `yaml:"port"`
	Share   float64           `yaml:"share"`
	Level   level             `yaml:"level"`
	Words   []string          `yaml:"words"`
	Parts   []part            `yaml:"parts"`
	Labels  map[string]string `yaml:"labels"`
	Options map[string]any    `yaml:"options"`
	Inner   inner             `yaml:"inner"`
	KeyFile string            `yaml:"key_file"`
	Old     []string          `yaml:"old_key_files"`
	DataDir string            `yaml:"data_dir"`
	Hidden  string
}

type part struct {
	ID   string `yaml:"id"`
	Size int    `yaml:"size"`
	Side *inner `yaml:"side"`
}

type inner struct {
	Mode   string `yaml:"mode"`
	Shared `yaml:",inline"`
}

type Shared struct {
	CAFile string `yaml:"ca_file"`
}

// level is a scalar with its own idea of text.
type level int

func (l *level) UnmarshalText(text []byte) error {
	switch string(text) {
	case "low":
		*l = 1
	case "high":
		*l = 2
	default:
		return errors.New("must be low or high")
	}
	return nil
}

func start() document {
	return document{Name: "default", Wait: time.Minute, Limit: 5, Words: []string{"a"}, Inner: inner{Mode: "soft"}}
}

func decode(text string) (document, error) {
	d := start()
	defaults := strict.Defaults{}
	strict.Default(defaults, func() part { return part{Size: 7} })
	strict.Default(defaults, func() inner { return inner{Mode: "fresh"} })
	var problems strict.Problems
	strict.Decode([]byte(text), &d, defaults, &problems)
	return d, problems.Err()
}

func TestDecode_WhatIsNotMentionedKeepsItsDefault(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty": "", "comment": "# nothing\n", "document mark": "---\n", "null": "null", "empty section": "inner:\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := decode(text)
			require.NoError(t, err)
			require.Equal(t, start(), d)
		})
	}
}

func TestDecode_EveryKind(t *testing.T) {
	t.Parallel()
	d, err := decode(`
name: 0123456789       # a string is what was written, whatever YAML makes of it
"on": true
wait: 1h30m
limit: -3
port: 443
share: 0.25
level: high
words: [no, 1e5, "x"]
parts:
  - {id: one}
  - {id: two, size: 9, side: {ca_file: b.pem}}
labels: {a: b, yes: 1.10}
options: {n: 12345678901, f: 1.5, s: text, d: 2020-01-02, t: true, z: null, l: [1, {k: v}], u: 18446744073709551615}
inner: {mode: hard, ca_file: a.pem}
`)
	require.NoError(t, err)
	want := start()
	want.Name, want.On, want.Wait, want.Limit, want.Port, want.Share, want.Level = "0123456789", true, 90*time.Minute, -3, 443, 0.25, 2
	want.Words = []string{"no", "1e5", "x"}
	want.Parts = []part{{ID: "one", Size: 7}, {ID: "two", Size: 9, Side: &inner{Mode: "fresh", Shared: Shared{"b.pem"}}}}
	want.Labels = map[string]string{"a": "b", "yes": "1.10"}
	want.Options = map[string]any{
		"n": int64(12345678901), "f": 1.5, "s": "text", "d": "2020-01-02", "t": true, "z": nil,
		"l": []any{int64(1), map[string]any{"k": "v"}}, "u": uint64(18446744073709551615),
	}
	want.Inner = inner{Mode: "hard", Shared: Shared{"a.pem"}}
	require.Equal(t, want, d)
}

func TestDecode_AnchorsAndMerges(t *testing.T) {
	t.Parallel()
	d, err := decode(`
parts:
  - &first {id: one, size: 3}
  - {<<: *first, id: two}
  - <<: [{size: 1}, *first]
`)
	require.NoError(t, err)
	require.Equal(t, []part{{ID: "one", Size: 3}, {ID: "two", Size: 3}, {ID: "one", Size: 1}}, d.Parts)
}

func TestDecode_Problems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "name: a\nnane: b", "nane: unknown key, did you mean name? (line 2)"},
		{"unknown key far from all", "zebra: 1", "zebra: unknown key (line 1)"},
		{"unknown key inside", "inner: {mod: x}", "inner.mod: unknown key, did you mean mode? (line 1)"},
		{"unknown key in a list", "parts:\n- id: a\n- idd: b", "parts[1].idd: unknown key, did you mean id? (line 3)"},
		{"field without a tag", "Hidden: x", "Hidden: unknown key (line 1)"},
		{"inlined name", "inner: {shared: {ca_file: x}}", "inner.shared: unknown key (line 1)"},
		{"case matters", "Name: a", "Name: unknown key, did you mean name? (line 1)"},
		{"doubled key", "name: a\nlimit: 1\nname: b", "name: given twice, first on line 1 (line 3)"},
		{"list for a section", "inner: [a]", "inner: must be a section with keys, not a list (line 1)"},
		{"scalar for a section", "inner: a", "inner: must be a section with keys, not a single value (line 1)"},
		{"section for a list", "words: {a: b}", "words: must be a list, not a section (line 1)"},
		{"scalar for a list", "words: a", "words: must be a list, not a single value (line 1)"},
		{"list for a scalar", "name: [a]", "name: must be a single value, not a list (line 1)"},
		{"list for the document", "- a", "must be a section with keys, not a list (line 1)"},
		{"no value", "name:", "name: has no value: write one, or leave the key out for the default (line 1)"},
		{"no value in a list", "words: [~]", ""},
		{"not a bool", "\"on\": yes", "on: must be true or false (line 1)"},
		{"not a duration", "wait: 5", "wait: must be a duration with a unit, like 90s, 15m or 24h (line 1)"},
		{"negative duration", "wait: -5s", "wait: must not be negative (line 1)"},
		{"not whole", "limit: 1.5", "limit: must be a whole number (line 1)"},
		{"too large", "port: 70000", "port: must be a whole number, not negative (line 1)"},
		{"not a number", "share: .nan", "share: must be a number (line 1)"},
		{"own text", "level: middle", "level: must be low or high (line 1)"},
		{"infinite option", "options: {a: {b: .inf}}", "options.a.b: must be a number that JSON can hold (line 1)"},
		{"key that is a list", "labels: {[a]: b}", "labels: holds a key that is not a word (line 1)"},
		{"two documents", "name: a\n---\nname: b", "a second YAML document follows (line 2)"},
		{"broken", "name: [", "not YAML: did not find expected node content (line 1)"},
		{"unknown anchor", "name: *nobody", "not YAML: unknown anchor 'nobody' referenced"},
		{"anchor in itself", "options: &a {b: *a}", "is nested too deep (line 1)"},
		{"merge of itself", "inner: &a {<<: *a}", "inner: merges too much with << (line 1)"},
		{"merge of a word", "inner: {<<: a}", "inner: << must name a section (line 1)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := decode(c.text)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestDecode_AllProblemsAtOnceInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	_, err := decode("limit: x\nnope: 1\ninner: {mode: [1]}\nwait: 3")
	require.EqualError(t, err, `4 problems:
  limit: must be a whole number (line 1)
  nope: unknown key (line 2)
  inner.mode: must be a single value, not a list (line 3)
  wait: must be a duration with a unit, like 90s, 15m or 24h (line 4)`)
}

func TestDecode_ProblemsNeverQuoteValues(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry-s3cret"
	for _, text := range []string{
		"on: " + canary, "wait: " + canary, "limit: " + canary, "port: " + canary, "share: " + canary, "level: " + canary,
		"inner: " + canary, "words: " + canary, "inner: [" + canary + "]", "options: {a: !!int " + canary + "}", "name: {a: " + canary + "}",
		"name: \"" + canary, "name: " + canary + ": b: c", "name: " + canary + "\n - x", "name: '" + canary + "' x", "name: !!binary " + canary,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := decode(text)
			if err != nil {
				require.NotContains(t, err.Error(), canary)
			}
		})
	}
}

func TestDecode_AliasBombEnds(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("options:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 30; i++ {
		n, m := string(rune('a'+i)), string(rune('a'+i-1))
		if i == 1 {
			m = "a0"
		}
		b.WriteString("  " + n + ": &" + n + " [" + strings.TrimSuffix(strings.Repeat("*"+m+", ", 10), ", ") + "]\n")
		if i == 20 {
			break
		}
	}
	_, err := decode(b.String())
	require.ErrorContains(t, err, "too large once its aliases are followed")
}

func TestOverride(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, variable, want string
		check                func(t *testing.T, d document)
	}{
		{"scalar", "APP_NAME=x", "", func(t *testing.T, d document) { require.Equal(t, "x", d.Name) }},
		{"nested and inlined", "APP_INNER_CA_FILE=x", "", func(t *testing.T, d document) { require.Equal(t, "x", d.Inner.CAFile) }},
		{"duration", "APP_WAIT=2s", "", func(t *testing.T, d document) { require.Equal(t, 2*time.Second, d.Wait) }},
		{"own text", "APP_LEVEL=low", "", func(t *testing.T, d document) { require.Equal(t, level(1), d.Level) }},
		{"empty is a value", "APP_NAME=", "", func(t *testing.T, d document) { require.Empty(t, d.Name) }},
		{"equals sign in the value", "APP_NAME=a=b", "", func(t *testing.T, d document) { require.Equal(t, "a=b", d.Name) }},
		{"other prefix", "OTHER_NAME=x", "", func(t *testing.T, d document) { require.Equal(t, start(), d) }},
		{"bad value", "APP_LIMIT=s3cret", "limit: must be a whole number (from the environment variable APP_LIMIT)", nil},
		{"empty number", "APP_LIMIT=", "limit: must be a whole number (from the environment variable APP_LIMIT)", nil},
		{"list", "APP_WORDS=a", "words: cannot be set by the environment variable APP_WORDS, only in the file", nil},
		{"table", "APP_LABELS=a", "labels: cannot be set by the environment variable APP_LABELS, only in the file", nil},
		{"misspelt", "APP_LIMITS=1", "the environment variable APP_LIMITS names no key, did you mean APP_LIMIT?", nil},
		{"unknown", "APP_COMPLETELY_DIFFERENT=1", "the environment variable APP_COMPLETELY_DIFFERENT names no key", nil},
		{"small letters", "APP_name=x", "the environment variable APP_name names no key, did you mean APP_NAME?", nil},
		{"section", "APP_INNER=x", "the environment variable APP_INNER names no key", nil},
		{"Kubernetes service", "APP_SERVICE_HOST=10.0.0.1", "", func(t *testing.T, d document) { require.Equal(t, start(), d) }},
		{"Kubernetes named port", "APP_ADMIN_SERVICE_PORT_HTTP=80", "", nil},
		{"Kubernetes port", "APP_GATEWAY_PORT_8080_TCP_ADDR=10.0.0.1", "", nil},
		{"a key although Kubernetes makes such names", "APP_PORT=444", "", func(t *testing.T, d document) { require.Equal(t, uint16(444), d.Port) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := start()
			var problems strict.Problems
			strict.Override(&d, "APP_", []string{"PATH=/bin", c.variable}, &problems)
			if c.want != "" {
				require.ErrorContains(t, problems.Err(), c.want)
				require.NotContains(t, problems.Err().Error(), "s3cret")
				return
			}
			require.NoError(t, problems.Err())
			if c.check != nil {
				c.check(t, d)
			}
		})
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	d := start()
	require.Equal(t, []string{
		"APP_NAME", "APP_ON", "APP_WAIT", "APP_LIMIT", "APP_PORT", "APP_SHARE", "APP_LEVEL",
		"APP_INNER_MODE", "APP_INNER_CA_FILE", "APP_KEY_FILE", "APP_DATA_DIR",
	}, strict.Variables(&d, "APP_"))
}

func TestAbsolute(t *testing.T) {
	t.Parallel()
	d := start()
	d.Name, d.KeyFile, d.DataDir = "name", "a/key", "./data"
	d.Old = []string{"one", "", "/abs/two"}
	d.Inner.CAFile = "../ca"
	d.Parts = []part{{ID: "x", Side: &inner{Shared: Shared{"side"}}}, {}}
	strict.Absolute(&d, "/etc/app", "data_dir")
	require.Equal(t, "name", d.Name)
	require.Equal(t, "/etc/app/a/key", d.KeyFile)
	require.Equal(t, "/etc/app/data", d.DataDir)
	require.Equal(t, []string{"/etc/app/one", "", "/abs/two"}, d.Old)
	require.Equal(t, "/etc/ca", d.Inner.CAFile)
	require.Equal(t, "/etc/app/side", d.Parts[0].Side.CAFile)
	require.Equal(t, []strict.File{
		{"parts[0].side.ca_file", "/etc/app/side"}, {"inner.ca_file", "/etc/ca"}, {"key_file", "/etc/app/a/key"},
		{"old_key_files[0]", "/etc/app/one"}, {"old_key_files[2]", "/abs/two"},
	}, strict.Files(&d))
}

func TestChanged(t *testing.T) {
	t.Parallel()
	a, b := start(), start()
	require.Empty(t, strict.Changed(&a, &b))
	b.Limit, b.Inner.CAFile, b.Parts = 6, "x", []part{{}}
	require.Equal(t, []string{"limit", "parts", "inner.ca_file"}, strict.Changed(&a, &b))
}

func TestProblems_LinesOfPlacesThatTheFileDoesNotHold(t *testing.T) {
	t.Parallel()
	d := start()
	var problems strict.Problems
	strict.Decode([]byte("name: a\nparts:\n- id: a\n- id: b\n"), &d, nil, &problems)
	problems.Under("parts[1]")("side.ca_file", "is missing")
	problems.Under("parts")("[0].id", "is taken")
	problems.Under("parts[0]")("", "is odd")
	problems.Report("inner.mode", "is odd")
	require.EqualError(t, problems.Err(), `4 problems:
  parts[0].id: is taken (line 3)
  parts[0]: is odd (line 3)
  parts[1].side.ca_file: is missing (line 4)
  inner.mode: is odd`)
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		"name: a\nwords: [a]\nparts: [{id: x, size: 2, side: {mode: m}}]\nlabels: {a: b}\noptions: {a: [1, {b: .inf}]}",
		"a: &a [*a]", "inner: &a {<<: *a}", "? [a]\n: b", "---\n---\n", "%YAML 1.1\n", "name: !!binary aGk=", "\"\\ud800\": x", "<<: [[]]",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := decode(text)
		again, errAgain := decode(text)
		if err != nil {
			require.EqualError(t, errAgain, err.Error())
			require.IsType(t, &strict.Error{}, err)
			return
		}
		require.NoError(t, errAgain)
		require.Equal(t, d, again)
	})
}
