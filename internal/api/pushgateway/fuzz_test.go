package pushgateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	wire "github.com/pushgate/pushgate/gen/pushgateway"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/apitest"
	"github.com/pushgate/pushgate/internal/api/pushgateway"
	"github.com/pushgate/pushgate/internal/api/strictjson"
	"github.com/pushgate/pushgate/internal/push"
)

func FuzzMatrixNotify(f *testing.F) { fuzz[wire.MatrixNotifyRequest](f, pathMatrix) }

func FuzzNotify(f *testing.F) { fuzz[wire.NotifyRequest](f, pathNotify) }

func FuzzNotifyBatch(f *testing.F) { fuzz[wire.BatchRequest](f, pathBatch) }

func FuzzNotifyEncryptedBatch(f *testing.F) { fuzz[wire.EncryptedBatchRequest](f, pathEncrypted) }

// fuzz holds the engine against the plain way of doing the same: encoding/json, kin-openapi by the rules of 3.1, and
// encoding/json again into the generated type. What the engine accepts, the plain way accepts, with the same result. What
// only the plain way accepts is one of the things that the engine is there to refuse.
func fuzz[T any](f *testing.F, path string) {
	f.Add([]byte(seed(path)))
	f.Add([]byte(validBody(path)))
	for _, change := range []struct{ from, to string }{
		{`"pushkey":`, `"pushkey":1,"Pushkey":`}, {`"pushkey":`, `"Pushkey":1,"pushkey":`}, {`"app_id":`, `"\u0061pp_id":"x","app_id":`}, {`"app_id":`, `"data":null,"app_id":`},
		{`"app_id":`, `"pushkey_ts":1.0,"app_id":`}, {`"app_id":`, `"pushkey_ts":12345678901234567890,"app_id":`}, {`"app"`, `"\ud800"`}, {`"app"`, "\"\xff\""},
		{`"app_id":`, `"tweaks":{"a":1.10,"b":[1E5,{}]},"app_id":`}, {`{`, ` { "x" : [ 1e400 ] , `}, {`"notification":`, `"notification":null,"Notification":`},
	} {
		f.Add([]byte(strings.Replace(validBody(path), change.from, change.to, 1)))
	}
	if path == pathBatch || path == pathEncrypted {
		f.Add([]byte(batchOf(path, "a", "b", "a")))
		f.Add([]byte(batchOf(path, append(numbered(100), "x")...)))
	}
	schema := bodySchema(contract(f), path)
	e := newEdge(f, func(o *pushgateway.Options, _ *api.Options) { o.MaxNotificationKB = 8 })
	f.Fuzz(func(t *testing.T, body []byte) {
		e.t, e.gateway.got = t, nil
		e.log.Reset()
		w := e.do(apitest.Post(path, string(body)))
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge}, w.Code)
		tree, typed, err := plainWay[T](schema, body)
		if w.Code == http.StatusOK {
			if !errors.Is(err, errUnfit) {
				require.NoError(t, err, "only the engine accepts it")
			}
			if !ambiguous(body) {
				require.NoError(t, err, "only the engine finds that it fits the type")
				requireSame(t, path, tree, typed, e.gateway.got)
			}
			return
		}
		require.Empty(t, e.gateway.got)
		if err == nil && w.Code == http.StatusBadRequest && !justified(t, path, body, tree) {
			t.Fatalf("only the engine refuses it: %s", w.Body)
		}
	})
}

// plainWay decodes, validates and decodes again.
func plainWay[T any](schema *openapi3.Schema, body []byte) (tree any, typed T, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, typed, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, typed, errors.New("trailing text")
	}
	if apitest.ByJSONSchema(schema, tree) != nil {
		return tree, typed, errors.New("breaks the contract")
	}
	if err := json.Unmarshal(body, &typed); err != nil {
		return tree, typed, fmt.Errorf("%w: %w", errUnfit, err)
	}
	return tree, typed, nil
}

// errUnfit is a body that keeps the contract and does not fit the generated type.
var errUnfit = errors.New("does not fit the type")

// justified tells whether the engine refuses for a reason that the plain way does not know.
func justified(t *testing.T, path string, body []byte, tree any) bool {
	t.Helper()
	if !utf8.Valid(body) {
		return true
	}
	_, err := strictjson.Decode(string(body), strictjson.Whole(), strictjson.Limits{Depth: 64, Skipped: 64, Objects: 1 << 15})
	if problem, ok := errors.AsType[*strictjson.Error](err); ok {
		return problem.Problem != strictjson.Syntax // duplicates and depth
	}
	if path != pathBatch && path != pathEncrypted {
		return false
	}
	root, _ := tree.(map[string]any)
	list, _ := root["notifications"].([]any)
	ids := map[any]bool{}
	for _, it := range list {
		m, _ := it.(map[string]any)
		if ids[m["id"]] {
			return true // twice the same id
		}
		ids[m["id"]] = true
	}
	return len(body) > 8<<10 // a notification may be too large
}

// ambiguous bodies are read differently by encoding/json, which ignores case: there the engine is right and the plain way
// is not.
func ambiguous(body []byte) bool {
	var names func(v any) bool
	names = func(v any) bool {
		switch v := v.(type) {
		case map[string]any:
			seen := map[string]bool{}
			for name, member := range v {
				folded := strings.ToLower(strings.NewReplacer("ſ", "s", "K", "k").Replace(name))
				if seen[folded] || name != folded || names(member) {
					return true
				}
				seen[folded] = true
			}
		case []any:
			for _, item := range v {
				if names(item) {
					return true
				}
			}
		}
		return false
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	return d.Decode(&v) != nil || names(v)
}

// requireSame compares what was delivered with what the plain way decoded.
func requireSame(t *testing.T, path string, tree, typed any, got []push.Notification) {
	t.Helper()
	var devices []any
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if list, ok := v["notifications"].([]any); ok {
				for _, it := range list {
					walk(it)
				}
			} else if n, ok := v["notification"].(map[string]any); ok {
				if path == pathEncrypted {
					devices = append(devices, n["device"])
				} else if list, ok := n["devices"].([]any); ok {
					devices = append(devices, list...)
				}
			}
		}
	}
	walk(tree)
	require.Len(t, got, len(devices))
	for i, d := range devices {
		want, _ := d.(map[string]any)
		require.Equal(t, want["app_id"], string(got[i].Device.AppID))
		require.Equal(t, want["pushkey"], got[i].Device.Pushkey.Reveal())
		requireJSON(t, want["data"], got[i].Device.Data)
		requireJSON(t, want["tweaks"], got[i].Device.Tweaks)
	}
	switch typed := typed.(type) {
	case wire.MatrixNotifyRequest:
		requireEvent(t, typed.Notification.EventID, typed.Notification.Type, typed.Notification.Membership, got[0].Event)
	case wire.NotifyRequest:
		requireEvent(t, typed.Notification.EventID, typed.Notification.Type, nil, got[0].Event)
	case wire.BatchRequest:
		requireEvent(t, typed.Notifications[0].Notification.EventID, typed.Notifications[0].Notification.Type, nil, got[0].Event)
	case wire.EncryptedBatchRequest:
		for i, it := range typed.Notifications {
			require.Equal(t, it.Notification.Ciphertext, got[i].Sealed.Ciphertext.Reveal())
			require.Equal(t, it.Notification.KeyIdentifier, got[i].Sealed.KeyIdentifier.Reveal())
			require.Equal(t, it.Notification.TimeMessageEncrypted, got[i].Sealed.Month)
			require.Equal(t, push.TextFrom(it.Notification.Identifier), got[i].Sealed.Identifier)
		}
	}
}

func requireEvent(t *testing.T, id, kind, membership *string, got *push.Event) {
	t.Helper()
	require.True(t, push.TextFrom(id) == got.ID && push.TextFrom(kind) == got.Type && push.TextFrom(membership) == got.Membership)
}

// requireJSON compares values with their digits.
func requireJSON(t *testing.T, want any, got push.Object) {
	t.Helper()
	if want == nil {
		require.Nil(t, got)
		return
	}
	require.True(t, reflect.DeepEqual(want, numbers(t, got.Bytes())), "an object was bent")
}
