package registration_test

import (
	"testing"

	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api/registration"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// A missing kind and a null one must never be mixed up: one of them deletes.
func TestChange_KindAbsentNullAndGiven(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		kind nullable.Nullable[string]
		want pusher.Change
	}{
		"absent": {nil, pusher.Change{}},
		"null":   {nullable.NewNullNullable[string](), pusher.Change{Delete: true}},
		"given":  {nullable.NewNullableWithValue("http"), pusher.Change{Kind: push.NewText("http")}},
		"empty":  {nullable.NewNullableWithValue(""), pusher.Change{Kind: push.NewText("")}},
	} {
		require.Equal(t, tt.want, registration.Members{Kind: tt.kind}.Change(), name)
	}
}

func TestChange_EveryMember(t *testing.T) {
	t.Parallel()
	yes, no, empty := true, false, ""
	got := registration.Members{
		AppID: "app", Pushkey: "key", AppDisplayName: new("a"), DeviceDisplayName: new("d"), Lang: new("l"), Profile: &empty,
		Data: []byte(`{"n":9007199254740993}`), Append: &yes,
	}.Change()
	require.Equal(t, pusher.Change{
		AppID: push.NewText("app"), Pushkey: push.NewText("key"), AppDisplayName: push.NewText("a"), DeviceDisplayName: push.NewText("d"),
		Lang: push.NewText("l"), ProfileTag: push.NewText(""), Data: push.Object(`{"n":9007199254740993}`), Append: true,
	}, got)
	require.Equal(t, pusher.Change{}, registration.Members{Append: &no}.Change(), "empty required members are absent")
}
