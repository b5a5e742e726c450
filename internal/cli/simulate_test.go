package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/simulator"
)

func TestArrivals_OneLineOfWholeCharacters(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	a := newArrivals(&out)
	for i := range 4 {
		a.print(simulator.Receipt{Service: simulator.FCM, Token: "t\n" + strings.Repeat("ö", 20), Payload: []byte(strings.Repeat("x", i) + strings.Repeat("日", 400) + "\r\n\x1b[2J")})
	}
	require.True(t, utf8.ValidString(out.String()))
	require.Equal(t, 4, strings.Count(out.String(), "\n"))
	require.NotContains(t, out.String(), "\x1b")
}
