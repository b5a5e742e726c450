package monthkey_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/monthkey"
)

// What a log, an error text or a careless Printf can do to a value, also when it hides in another struct.
func TestSecrets_CannotPrintThemselves(t *testing.T) {
	t.Parallel()
	secret := iss(t, vectorISS)
	g := derive(t, vectorISS, "2023-10")
	keys := g.RevealKeys()
	canaries := []string{vectorISS, hex.EncodeToString(keys[:32]), hex.EncodeToString(keys[32:])}
	for _, c := range canaries[:3] {
		raw, err := hex.DecodeString(c)
		require.NoError(t, err)
		canaries = append(canaries, string(raw), strings.Trim(fmt.Sprintf("%d", raw[:8]), "[]"), fmt.Sprintf("%#v", raw[:8])[7:40])
	}

	var out bytes.Buffer
	hidden := struct {
		secret monthkey.ISS
		g      monthkey.Generation
		any    []any
	}{secret, g, []any{secret, g}}
	inside := struct {
		Secret any
		G      any
	}{secret, g}
	for _, v := range []any{secret, &secret, g, &g, hidden, &hidden, inside, []any{secret, g}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", slog.Any("iss", secret), slog.Any("generation", g), slog.Any("inside", inside))
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", slog.Any("iss", secret), slog.Any("generation", g), slog.Any("inside", inside))
	require.NoError(t, json.NewEncoder(&out).Encode(inside))

	for _, c := range canaries {
		require.NotContains(t, strings.ToLower(out.String()), strings.ToLower(c))
	}
	require.Contains(t, out.String(), "<redacted>")
}
