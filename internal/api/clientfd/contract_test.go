package clientfd_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	wire "github.com/pushgate/pushgate/gen/clientfd"
)

func TestContract_EmbeddedIsTheFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../openapi/client-fd.yaml")
	require.NoError(t, err)
	file, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	require.NoError(t, file.Validate(context.Background(), openapi3.EnableExamplesValidation()))
	embedded, err := wire.GetSpec()
	require.NoError(t, err)
	want, err := json.Marshal(file)
	require.NoError(t, err)
	got, err := json.Marshal(embedded)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got), "run make generate")
}

func TestContract_EveryAnswerHasAnExample(t *testing.T) {
	t.Parallel()
	doc, err := wire.GetSpec()
	require.NoError(t, err)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status, r := range op.Responses.Map() {
				require.NotEmptyf(t, r.Value.Content.Get("application/json").Examples, "%s %s %s", method, path, status)
			}
			if op.RequestBody != nil {
				require.NotEmpty(t, op.RequestBody.Value.Content.Get("application/json").Examples)
			}
		}
	}
}

func TestContract_LimitsOfTheDocuments(t *testing.T) {
	t.Parallel()
	doc, err := wire.GetSpec()
	require.NoError(t, err)
	schemas := doc.Components.Schemas
	set := schemas["SetPusherRequest"].Value
	require.ElementsMatch(t, []string{"kind", "app_id", "pushkey"}, set.Required)
	require.EqualValues(t, 64, *set.Properties["app_id"].Value.MaxLength)
	require.EqualValues(t, 512, *set.Properties["pushkey"].Value.MaxLength)
	require.Equal(t, []any{"aes-hmac-sha256"}, schemas["Encryption"].Value.Properties["method"].Value.Enum)
	require.Equal(t, []any{"enabled", "disabled", "not_set"}, schemas["ChannelStatus"].Value.Enum, "iOS decodes it into a closed list")
	for _, name := range []string{"Error", "LimitError", "Unrecognized", "ErezeptError", "ErezeptLimitError"} {
		for _, member := range []string{"errcode", "error", "errorCode", "errorDetail"} {
			require.Containsf(t, schemas[name].Value.Required, member, "%s: both spellings, always", name)
		}
	}
	require.NotContains(t, schemas["Pusher"].Value.Properties, "encryption", "write-only")
}
