package clientserver_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	wire "github.com/pushgate/pushgate/gen/clientserver"
)

func TestContract_EmbeddedIsTheFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../openapi/client-server.yaml")
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

func TestContract_WhatTheSpecificationRequires(t *testing.T) {
	t.Parallel()
	doc, err := wire.GetSpec()
	require.NoError(t, err)
	schemas := doc.Components.Schemas
	require.ElementsMatch(t, []string{"kind", "app_id", "pushkey"}, schemas["SetPusherRequest"].Value.Required)
	require.ElementsMatch(t, []string{"kind", "app_id", "pushkey", "app_display_name", "device_display_name", "lang", "data"}, schemas["Pusher"].Value.Required)
	require.EqualValues(t, 64, *schemas["SetPusherRequest"].Value.Properties["app_id"].Value.MaxLength)
	require.EqualValues(t, 512, *schemas["SetPusherRequest"].Value.Properties["pushkey"].Value.MaxLength)
}
