package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api/strictjson"
)

var limits = strictjson.Limits{Depth: 64, Skipped: 64, Objects: 1000}

func TestDecode_Whole(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`null`, `true`, `false`, `0`, `-0`, `-1.5e-7`, `1E5`, `12345678901234567890`, `1.10`, `""`, `"a"`, `[]`, `{}`,
		` { "a" : [ 1 , { "b" : null } ] , "c" : "x" } ` + "\r\n\t",
		`"\u00e9\ud83d\ude00\n\\\/\"\b\f\r\t"`, `"\ud83dx"`, `"\ud83d\u0041"`, `"\ude00"`, `"\ud83d\ud83d\ude00"`,
		`"é😀\u0000"`, `[[[[]]]]`, `{"":{"":""}}`, `[1,2.0,"3"]`,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			doc, err := strictjson.Decode(text, strictjson.Whole(), limits)
			require.NoError(t, err)
			require.Equal(t, decodeStd(t, text), doc.Value)
		})
	}
}

func TestDecode_Refuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text    string
		problem strictjson.Problem
	}{
		"empty":                        {"", strictjson.Syntax},
		"blank":                        {" \n", strictjson.Syntax},
		"byte order mark":              {"\ufeff{}", strictjson.Syntax},
		"invalid UTF-8 in a string":    {"{\"a\":\"\xff\"}", strictjson.Syntax},
		"invalid UTF-8 after the end":  {"{}\xff", strictjson.Syntax},
		"cut rune":                     {"\"\xc3\"", strictjson.Syntax},
		"encoded surrogate":            {"\"\xed\xa0\x80\"", strictjson.Syntax},
		"trailing value":               {`{} {}`, strictjson.Syntax},
		"trailing comma":               {`{"a":1,}`, strictjson.Syntax},
		"trailing comma in array":      {`[1,]`, strictjson.Syntax},
		"trailing NUL":                 {"{}\x00", strictjson.Syntax},
		"missing colon":                {`{"a" 1}`, strictjson.Syntax},
		"missing comma":                {`[1 2]`, strictjson.Syntax},
		"missing name":                 {`{1:2}`, strictjson.Syntax},
		"single quotes":                {`{'a':1}`, strictjson.Syntax},
		"open object":                  {`{"a":1`, strictjson.Syntax},
		"open string":                  {`"a`, strictjson.Syntax},
		"open escape":                  {`"\`, strictjson.Syntax},
		"cut hex":                      {`"\u12`, strictjson.Syntax},
		"bad hex":                      {`"\u12g4"`, strictjson.Syntax},
		"bad second surrogate":         {`"\ud83d\uzzzz"`, strictjson.Syntax},
		"unknown escape":               {`"\x"`, strictjson.Syntax},
		"control character":            {"\"\n\"", strictjson.Syntax},
		"control character after one":  {"\"\\n\n\"", strictjson.Syntax},
		"leading zero":                 {`01`, strictjson.Syntax},
		"leading plus":                 {`+1`, strictjson.Syntax},
		"bare minus":                   {`-`, strictjson.Syntax},
		"bare dot":                     {`.5`, strictjson.Syntax},
		"dot without digits":           {`1.`, strictjson.Syntax},
		"exponent without digits":      {`1e+`, strictjson.Syntax},
		"hexadecimal":                  {`0x10`, strictjson.Syntax},
		"NaN":                          {`NaN`, strictjson.Syntax},
		"infinity":                     {`-Infinity`, strictjson.Syntax},
		"wrong case":                   {`True`, strictjson.Syntax},
		"comment":                      {`{} // x`, strictjson.Syntax},
		"duplicate":                    {`{"a":1,"a":1}`, strictjson.Duplicate},
		"duplicate by escape":          {`{"a":1,"\u0061":2}`, strictjson.Duplicate},
		"duplicate below":              {`{"x":[{"b":1,"b":2}]}`, strictjson.Duplicate},
		"duplicate among many":         {many(40, `"m7":0`), strictjson.Duplicate},
		"duplicate at the index's rim": {many(17, `"m16":0`), strictjson.Duplicate},
		"65 deep":                      {strings.Repeat("[", 65) + strings.Repeat("]", 65), strictjson.Depth},
		"10,000 deep objects":          {strings.Repeat(`{"a":`, 10_000), strictjson.Depth},
		"a million deep":               {strings.Repeat("[", 1_000_000), strictjson.Depth},
		"too many objects":             {"[" + strings.Repeat("{},", 1000) + "{}]", strictjson.Objects},
	} {
		for shapeName, shape := range map[string]*strictjson.Shape{"whole": strictjson.Whole(), "skipped": nil} {
			if c.problem == strictjson.Objects && shape == nil {
				continue // skipped objects cost nothing
			}
			t.Run(name+"/"+shapeName, func(t *testing.T) {
				t.Parallel()
				_, err := strictjson.Decode(c.text, shape, limits)
				var problem *strictjson.Error
				require.ErrorAs(t, err, &problem)
				require.Equal(t, c.problem, problem.Problem)
				require.LessOrEqual(t, problem.Offset, len(c.text))
			})
		}
	}
}

// many returns an object with n members and one more.
func many(n int, last string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		b.WriteString(`"m` + string(json.Number(itoa(i))) + `":[],`)
	}
	return b.String() + last + "}"
}

func itoa(i int) string {
	text, _ := json.Marshal(i)
	return string(text)
}

func TestDecode_ManyMembersAreNoDuplicates(t *testing.T) {
	t.Parallel()
	doc, err := strictjson.Decode(many(500, `"last":1`), strictjson.Whole(), limits)
	require.NoError(t, err)
	require.Len(t, doc.Value, 501)
}

// The shape of a document in which data is passed on and the rest is read.
func sample() *strictjson.Shape {
	device := &strictjson.Shape{Members: map[string]*strictjson.Shape{
		"pushkey": {},
		"data":    {Verbatim: true, Members: map[string]*strictjson.Shape{"format": {}}},
	}}
	return &strictjson.Shape{Members: map[string]*strictjson.Shape{
		"devices": {Items: device},
		"device":  device,
		"size":    {Measured: true, Members: map[string]*strictjson.Shape{}},
		"free":    strictjson.Whole(),
		"list":    {},
		"label":   {TextOnly: true},
	}}
}

func TestDecode_KeepsOnlyWhatTheShapeWants(t *testing.T) {
	t.Parallel()
	doc, err := strictjson.Decode(`{"unknown":{"a":[1,{}]},"Device":{"pushkey":"no"},"device":{"pushkey":"k","x":1,
		"data":{ "format":"f" , "n":1.10,"big":12345678901234567890,"e":1E5,"<":"\u003c" }},
		"free":{"a":[1]},"list":[1,2],"size": {"a": 1} }`, sample(), limits)
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"device": map[string]any{"pushkey": "k", "data": map[string]any{"format": "f"}},
		"free":   map[string]any{"a": []any{json.Number("1")}},
		"list":   []any{},
		"size":   map[string]any{},
	}, doc.Value)
	require.Equal(t, []int{len(`{"a": 1}`)}, doc.Sizes)
}

func TestBind_KeepsTheCallersBytes(t *testing.T) {
	t.Parallel()
	const first = `{ "n":1.10,"big":12345678901234567890,"e":1E5 , "<&>":"\u003c\/é" }`
	doc, err := strictjson.Decode(`{"devices":[{"data":`+first+`},{"data":null},{},{"data":[ 1 ]}]}`, sample(), limits)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"devices": []any{
		map[string]any{"data": map[string]any{}},
		map[string]any{"data": nil},
		map[string]any{},
		map[string]any{"data": []any{}},
	}}, doc.Value, "the contract check sees values, null included")
	require.Equal(t, map[string]any{"devices": []any{
		map[string]any{"data": json.RawMessage(first)},
		map[string]any{},
		map[string]any{},
		map[string]any{"data": json.RawMessage(`[ 1 ]`)},
	}}, doc.Bind())
}

func TestDecode_WrongTypesStayVisible(t *testing.T) {
	t.Parallel()
	doc, err := strictjson.Decode(`{"devices":{"a":1},"device":[1],"free":"x"}`, sample(), limits)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"devices": map[string]any{}, "device": []any{}, "free": "x"}, doc.Value)
}

func TestDecode_OnlyTextOfALabel(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		`"x"`: "x", `""`: "", ` "a"`: "a", `null`: nil, `true`: nil, `1e999`: nil, `{"a":[1]}`: nil, `[["x"]]`: nil,
	} {
		doc, err := strictjson.Decode(`{"label":`+text+`}`, sample(), limits)
		require.NoError(t, err)
		require.Equal(t, map[string]any{"label": want}, doc.Value)
	}
	for _, text := range []string{`tru`, `{"a":1,"a":2}`, `[`, ``} {
		_, err := strictjson.Decode(`{"label":`+text+`}`, sample(), limits)
		require.Error(t, err, text)
	}
}

// What is only passed on may nest deeper than what is read, up to a limit of its own, wherever it stands.
func TestDecode_SkipsDeeperThanItKeeps(t *testing.T) {
	t.Parallel()
	deep := strictjson.Limits{Depth: 4, Skipped: 1000, Objects: 10}
	for name, unit := range map[string][2]string{"arrays": {"[", "]"}, "objects": {`{"a":`, "}"}, "both": {`[0,{"x":"","a":`, "}]"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			levels := func(n int) string {
				n /= strings.Count(unit[0], "[") + strings.Count(unit[0], "{")
				return strings.Repeat(unit[0], n) + "1" + strings.Repeat(unit[1], n)
			}
			for _, text := range []string{`{"device":{"x":` + levels(998) + `,"pushkey":"k"}}`, `{"devices":[{"data":{"x":` + levels(996) + `}}]}`, `{"x":` + levels(998) + `}`} {
				_, err := strictjson.Decode(text, sample(), deep)
				require.NoError(t, err)
			}
			_, err := strictjson.Decode(`{"x":`+levels(1000)+`}`, sample(), deep)
			var problem *strictjson.Error
			require.ErrorAs(t, err, &problem)
			require.Equal(t, strictjson.Depth, problem.Problem)
		})
	}
	_, err := strictjson.Decode(`{"x":{"a":[{"b":1},{"b":1,"c":{"b":2},"b":3}]}}`, sample(), deep)
	require.EqualError(t, err, "duplicate member at byte 41")
	_, err = strictjson.Decode(`{"x":{"a":1,"b":[{"a":2}],"c":{"a":3}}}`, sample(), deep)
	require.NoError(t, err, "one name in several objects")
}

func TestError_HoldsNothingOfTheText(t *testing.T) {
	t.Parallel()
	_, err := strictjson.Decode(`{"secret-7f3a":1,"secret-7f3a":2}`, nil, limits)
	require.EqualError(t, err, "duplicate member at byte 30")
}

// FuzzDecode compares with encoding/json: what is accepted here is accepted there with the same value, and what only
// encoding/json accepts is one of the things that this package exists to refuse.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.5,"x",null,true]}`, `{"a":1,"\u0061":2}`, `"\ud83d\ude00"`, `"\ud83d"`, ` [ ] `, `1E400`, "\"\xff\"", `{"a":{"a":{}}}`,
		strings.Repeat("[", 70), many(20, `"m3":1`), "\ufeff1", `{}{}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := strictjson.Decode(text, strictjson.Whole(), limits)
		_, errSkip := strictjson.Decode(text, nil, limits)
		std, errStd := readStd(text)
		if err == nil {
			require.NoError(t, errStd, "accepts what encoding/json refuses")
			require.NoError(t, errSkip, "skipping and keeping disagree")
			require.True(t, reflect.DeepEqual(std, doc.Value), "value differs from encoding/json")
			return
		}
		var problem *strictjson.Error
		require.True(t, errors.As(err, &problem))
		if problem.Problem == strictjson.Syntax && errStd == nil {
			require.False(t, utf8.ValidString(text), "refuses syntax that encoding/json accepts")
		}
		if problem.Problem != strictjson.Objects {
			require.Equal(t, err, errSkip, "skipping and keeping disagree")
		}
	})
}

// readStd reads one value and nothing else with encoding/json.
func readStd(text string) (any, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("trailing text")
	}
	return v, nil
}

func decodeStd(t *testing.T, text string) any {
	t.Helper()
	v, err := readStd(text)
	require.NoError(t, err)
	return v
}
