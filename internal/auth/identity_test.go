package auth_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

// design 5: "@..." is realm matrix; "kvnr:..." or "telematik-id:..." is realm fachdienst, a bare value means kvnr.
func TestParseUser(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]auth.Identity{
		"@alice:example.org":    {Realm: push.RealmMatrix, User: "@alice:example.org"},
		"@kvnr:example.org":     {Realm: push.RealmMatrix, User: "@kvnr:example.org"},
		"kvnr:X110400001":       {Realm: push.RealmFachdienst, User: "kvnr:X110400001", IDType: "kvnr"},
		"X110400001":            {Realm: push.RealmFachdienst, User: "kvnr:X110400001", IDType: "kvnr"},
		"telematik-id:1-2.58.4": {Realm: push.RealmFachdienst, User: "telematik-id:1-2.58.4", IDType: "telematik-id"},
		"kvnr:@a:b":             {Realm: push.RealmFachdienst, User: "kvnr:@a:b", IDType: "kvnr"},
	} {
		got, err := auth.ParseUser(text)
		require.NoErrorf(t, err, "%s", text)
		require.Equal(t, want, got)
		require.Equal(t, push.Owner{Realm: want.Realm, User: want.User}, got.Owner())
	}
	for _, text := range []string{"", "@", "kvnr:", ":X1", "KVNR:X1", "mailto:a@b", " X110400001", "X110400001\n", "@a b", "kvnr: X1", "\xff", "X\x00"} {
		_, err := auth.ParseUser(text)
		require.Errorf(t, err, "%q", text)
		if len(text) > 6 {
			require.NotContains(t, err.Error(), text)
		}
	}
}

// facts/matrix-pushers.md 1.4 and 1.8.
func TestTokenFrom(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		query   bool
		headers []string
		url     string
		want    auth.Token // empty: M_MISSING_TOKEN
	}{
		{"header", false, []string{"Bearer abc"}, "/", "abc"},
		{"scheme in any case", false, []string{"bearer abc"}, "/", "abc"},
		{"blanks around", false, []string{"Bearer   abc "}, "/", "abc"},
		{"query", true, nil, "/?access_token=abc", "abc"},
		{"query, decoded", true, nil, "/?access_token=a%2Bc", "a+c"},
		{"query is off", false, nil, "/?access_token=abc", ""},
		{"header while query is off", false, []string{"Bearer abc"}, "/?access_token=other", "abc"},
		{"nothing", true, nil, "/", ""},
		{"header and query mixed", true, []string{"Bearer abc"}, "/?access_token=abc", ""},
		{"two headers", true, []string{"Bearer abc", "Bearer abc"}, "/", ""},
		{"two parameters", true, nil, "/?access_token=abc&access_token=abc", ""},
		{"empty parameter", true, nil, "/?access_token=", ""},
		{"empty header", true, []string{""}, "/", ""},
		{"no scheme", true, []string{"abc"}, "/", ""},
		{"scheme only", true, []string{"Bearer"}, "/", ""},
		{"scheme and blank", true, []string{"Bearer "}, "/", ""},
		{"another scheme", true, []string{"Basic YTpi"}, "/", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", tt.url, nil)
			for _, h := range tt.headers {
				r.Header.Add("Authorization", h)
			}
			got, err := auth.TokenFrom(r, tt.query)
			require.Equal(t, string(tt.want), string(got))
			if tt.want == "" {
				requireDenied(t, err, push.Unauthenticated, "M_MISSING_TOKEN")
				return
			}
			require.NoError(t, err)
		})
	}
}

func FuzzParseUser(f *testing.F) {
	for _, s := range []string{"@a:b", "kvnr:X", "telematik-id:1", "X", ":", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := auth.ParseUser(text)
		if err != nil {
			require.Equal(t, auth.Identity{}, id)
			return
		}
		// What was read reads as itself again, and a realm is never a matter of taste.
		again, err := auth.ParseUser(id.User.Reveal())
		require.NoError(t, err)
		require.Equal(t, id, again)
		require.Equal(t, text[0] == '@', id.Realm == push.RealmMatrix)
	})
}
