package auth_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

func limiter(user, address auth.Rate) *auth.Limiter {
	return auth.NewLimiter(auth.LimitsConfig{WritesPerUser: user, WritesPerAddress: address})
}

func TestLimiter_PerUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter(auth.Rate{Count: 5, Per: time.Second}, auth.Rate{Count: 50, Per: time.Second})
		alice := push.Owner{Realm: push.RealmMatrix, User: "@alice:example.org"}
		for range 5 {
			require.NoError(t, l.User(alice))
		}
		for range 3 {
			err := l.User(alice)
			requireDenied(t, err, push.Limited, "M_LIMIT_EXCEEDED")
			var e *push.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, 200*time.Millisecond, e.RetryAfter, "refused writes do not count")
		}
		require.NoError(t, l.User(push.Owner{Realm: push.RealmFachdienst, User: alice.User}), "another realm is another user")
		time.Sleep(200 * time.Millisecond)
		require.NoError(t, l.User(alice))
		require.Error(t, l.User(alice))
		time.Sleep(time.Hour)
		for range 5 {
			require.NoError(t, l.User(alice))
		}
		require.Error(t, l.User(alice), "quiet hours do not add up")
	})
}

func TestLimiter_PerAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, first, second string
		shared              bool
	}{
		{"one address", "192.0.2.1", "192.0.2.1", true},
		{"two addresses", "192.0.2.1", "192.0.2.2", false},
		{"IPv4 in IPv6", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"one customer's IPv6 network", "2001:db8::1", "2001:db8::ffff:2", true},
		{"another network", "2001:db8::1", "2001:db8:0:1::1", false},
		{"zones do not matter", "fe80::1%a", "fe80::2%b", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := limiter(auth.Rate{Count: 1, Per: time.Hour}, auth.Rate{Count: 1, Per: time.Hour})
			require.NoError(t, l.Address(netip.MustParseAddr(tt.first)))
			require.Equal(t, tt.shared, l.Address(netip.MustParseAddr(tt.second)) != nil)
		})
	}
	l := limiter(auth.Rate{Count: 1, Per: time.Hour}, auth.Rate{Count: 1, Per: time.Hour})
	for range 3 {
		require.NoError(t, l.Address(netip.Addr{}), "who has no address is not everybody without one")
	}
}

// Memory is bounded: beyond 65,536 users the quietest are forgotten, and that is all.
func TestLimiter_IsBounded(t *testing.T) {
	t.Parallel()
	l := limiter(auth.Rate{Count: 1, Per: time.Hour}, auth.Rate{Count: 1, Per: time.Hour})
	user := func(n int) push.Owner {
		return push.Owner{Realm: push.RealmMatrix, User: push.UserID(fmt.Sprintf("@%d:example.org", n))}
	}
	for n := range 65537 {
		require.NoError(t, l.User(user(n)))
	}
	require.Error(t, l.User(user(65536)))
	require.Error(t, l.User(user(1)))
	require.NoError(t, l.User(user(0)), "the quietest was forgotten")
}

func TestRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]auth.Rate{
		"10/s": {Count: 10, Per: time.Second}, "600/m": {Count: 600, Per: time.Minute}, "1000/h": {Count: 1000, Per: time.Hour},
	} {
		var r auth.Rate
		require.NoError(t, r.UnmarshalText([]byte(text)))
		require.Equal(t, want, r)
		back, err := r.MarshalText()
		require.NoError(t, err)
		require.Equal(t, text, string(back))
	}
	for _, text := range []string{"", "10", "/s", "0/s", "-1/s", "1.5/s", "10/d", "10/s/s", "99999999999/s", "10 / s"} {
		r := auth.Rate{Count: 7, Per: time.Second}
		require.Errorf(t, r.UnmarshalText([]byte(text)), "%q", text)
		require.Equal(t, 7, r.Count)
	}
	_, err := auth.Rate{}.MarshalText()
	require.Error(t, err)
}
