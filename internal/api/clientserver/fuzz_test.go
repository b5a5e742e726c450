package clientserver_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	cst "github.com/pushgate/pushgate/internal/api/clientserver/clientservertest"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

// FuzzSet: whatever the body, the answer is one of the contract and never a 500. What is accepted is kept with the text of
// data that encoding/json finds in the body, and what is refused changes nothing.
func FuzzSet(f *testing.F) {
	for _, body := range []string{
		cst.Body(), cst.Gone(), cst.Body("kind", ""), cst.Body("data", "null"), cst.Body("append", "true", "profile_tag", `""`), "null", "", "[]", "{",
		cst.Body("data", `{"url":"https://push.example.com/_matrix/push/v1/notify","a":[1e400,{"":"\ud800"}]}`), cst.Body("pushkey", `"\ud83d\ude00"`), cst.Body("Kind", "null"),
	} {
		f.Add(body)
	}
	store := &pushertest.Store{}
	server := cst.NewServer(f, store, nil)
	alice := push.Owner{Realm: push.RealmMatrix, User: "@alice:example.org"}
	f.Fuzz(func(t *testing.T, body string) {
		server.Log.Reset()
		w := server.In(t).Serve(cst.Request(cst.Alice, http.MethodPost, "/pushers/set", body))
		require.Contains(t, []int{200, 400, 413}, w.Code)
		stored, err := store.ListPushers(t.Context(), alice)
		require.NoError(t, err)
		if w.Code != http.StatusOK {
			require.Empty(t, stored)
			return
		}
		for _, p := range stored {
			var sent map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(body), &sent))
			require.Equal(t, string(sent["data"]), string(p.Data), "data is kept as it was sent")
		}
		_, err = store.DeleteOwner(t.Context(), alice, "") // the next input starts from nothing
		require.NoError(t, err)
	})
}

// FuzzPath: no path and no method gives a 500, and only the two operations give a 200.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"/pushers", "/pushers/set", "/pushers/%73et", "//", "/..", "/pushers?access_token=x&access_token=y", "/%ff", "/pushers;x=y"} {
		f.Add("GET", path)
		f.Add("POST", path)
	}
	s := cst.NewServer(f, &pushertest.Store{}, nil)
	f.Fuzz(func(t *testing.T, method, path string) {
		s.Log.Reset()
		r, err := http.NewRequest(method, "http://gate.example"+cst.Base+path, nil)
		if err != nil {
			t.Skip("no request")
		}
		r.Header.Set("Authorization", "Bearer "+cst.Alice)
		r.Body = http.NoBody
		w := httptest.NewRecorder()
		s.Engine.ServeHTTP(w, r)
		require.Contains(t, []int{200, 204, 400, 401, 404, 405}, w.Code)
		if w.Code == http.StatusOK {
			require.Equal(t, cst.Base+"/pushers", r.URL.Path)
		}
		if w.Code == http.StatusNoContent {
			require.Equal(t, http.MethodOptions, method)
		}
	})
}
