package clientfd_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	fdt "github.com/pushgate/pushgate/internal/api/clientfd/clientfdtest"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

// FuzzSet: whatever the body, the answer is one of the contract and never a 500, in both dialects alike.
func FuzzSet(f *testing.F) {
	for _, body := range []string{
		fdt.Body(), fdt.Gone(), fdt.Body("kind", ""), fdt.Body("encryption", fdt.Encryption("iss", `"00"`)), fdt.Body("encryption", "null"), fdt.Body("data", "{}"), "", "null", "[",
	} {
		f.Add(body)
	}
	generic, erezept := fdt.NewServer(f, fdt.Generic(), &pushertest.Store{}, nil), fdt.NewServer(f, fdt.Erezept(), &pushertest.Store{}, nil)
	f.Fuzz(func(t *testing.T, body string) {
		generic.Log.Reset()
		erezept.Log.Reset()
		a, b := generic.In(t).Set(fdt.Erika, body), erezept.In(t).Set(fdt.Erika, body)
		require.Contains(t, []int{200, 400, 413}, a.Code)
		require.Equal(t, a.Code, b.Code, "the dialects differ in words only")
	})
}

// FuzzChannels: the same for channels of a device, with any bytes for a pushkey.
func FuzzChannels(f *testing.F) {
	for _, key := range []string{"key", "a/b", "%", "\xff", "\x00", "..", ""} {
		f.Add(key, `{"channels":[{"id":"erp.task.activate","status":"enabled"}]}`)
		f.Add(key, `{"channels":[{"id":"x","status":"y"},null]}`)
	}
	servers := []*fdt.Server{fdt.NewServer(f, fdt.Generic(), &pushertest.Store{}, nil), fdt.NewServer(f, fdt.Erezept(), &pushertest.Store{}, nil)}
	f.Fuzz(func(t *testing.T, key, body string) {
		if key == "" {
			t.Skip("another path")
		}
		for i, path := range []string{"/channels/{pushkey}", "/channels/v1/{pushkey}"} {
			servers[i].Log.Reset()
			s := servers[i].In(t)
			require.Contains(t, []int{400, 404}, s.Call(fdt.Erika, http.MethodGet, path, key, "").Code, "nobody has this device")
			require.Contains(t, []int{400, 404, 413}, s.Call(fdt.Erika, http.MethodPost, path, key, body).Code)
		}
	})
}

// FuzzPath: no path gives a 500, however it is escaped.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"/push/v1/channels/a%2Fb", "/push/v1/channels/%", "/channels/v1/%00", "/pushers/v1/", "/channels/v1/../v1/x", "//"} {
		f.Add("GET", path)
		f.Add("POST", path)
	}
	s := fdt.NewServer(f, fdt.Generic(), &pushertest.Store{}, nil)
	f.Fuzz(func(t *testing.T, method, path string) {
		s.Log.Reset()
		u, err := url.Parse("http://gate.example" + path)
		if err != nil {
			t.Skip("no URL")
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method, r.URL = method, u
		r.Header.Set("Authorization", "Bearer "+fdt.Erika)
		w := httptest.NewRecorder()
		s.Engine.ServeHTTP(w, r)
		require.Contains(t, []int{200, 400, 404, 405}, w.Code)
	})
}
