package push_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func TestRealm_ZeroIsNone(t *testing.T) {
	t.Parallel()
	require.True(t, push.RealmMatrix.Valid())
	require.True(t, push.RealmFachdienst.Valid())
	for _, r := range []push.Realm{"", "Matrix", "fd"} {
		require.False(t, r.Valid())
	}
}

func TestUserID_CannotPrintItself(t *testing.T) {
	t.Parallel()
	owner := push.Owner{Realm: push.RealmFachdienst, User: "kvnr:CANARY"}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+"\n", owner, owner.User)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("owner", slog.Any("owner", owner), slog.Any("user", owner.User))
	require.NoError(t, json.NewEncoder(&out).Encode(owner))
	require.NotContains(t, out.String(), "CANARY")
	require.NotContains(t, out.String(), fmt.Sprintf("%x", "CANARY"))
	require.Equal(t, "kvnr:CANARY", owner.User.Reveal())
}
