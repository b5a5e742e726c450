package pusher_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/pusher"
)

func TestConfig_DefaultsAreGood(t *testing.T) {
	t.Parallel()
	require.Empty(t, problems(pusher.DefaultFachdienstConfig().Check))
	require.Empty(t, problems(pusher.DefaultClientServerConfig().Check))
	require.Equal(t, pusher.RetryConfig{Initial: time.Second, Max: time.Hour, GiveUp: 12 * time.Hour}, pusher.DefaultFachdienstConfig().Retry)
}

// Every problem is reported at once, with its path.
func TestConfig_ReportsEveryProblem(t *testing.T) {
	t.Parallel()
	c := pusher.FachdienstConfig{
		BasePaths:     []string{"push/v1", "/push/v1/", "/push/:v", "/push/v1", "/push/v1"},
		Channels:      []pusher.ChannelConfig{{ID: "a"}, {ID: ""}, {ID: "a"}, {ID: "\x00"}},
		Encryption:    "maybe",
		Gateways:      []string{"https://gw.example.com/push/v1/", "https://gw.example.com/push/v1", "http://gw/push/v1/", "https://gw.example.com/push/v1/"},
		GatewayClient: pusher.GatewayClientConfig{CertFile: "a.crt"},
		Retry:         pusher.RetryConfig{Max: -1, GiveUp: -1},
	}
	require.Equal(t, map[string]string{
		"base_paths[0]":  "must begin with a slash, not end with one, and hold no pattern",
		"base_paths[1]":  "must begin with a slash, not end with one, and hold no pattern",
		"base_paths[2]":  "must begin with a slash, not end with one, and hold no pattern",
		"base_paths[4]":  "is configured twice",
		"channels[1].id": "is missing",
		"channels[2].id": "is configured twice",
		"channels[3].id": "holds a character that is not allowed",
		"encryption":     "must be required, optional or forbidden",
		"gateways[1]":    "must have a path that ends in /push/v1/",
		"gateways[2]":    "must be https",
		"gateways[3]":    "is configured twice",
		"gateway_client": "needs both cert_file and key_file, or neither",
		"retry.initial":  "must be longer than 0",
		"retry.max":      "must not be shorter than initial",
		"retry.give_up":  "must not be shorter than initial",
	}, problems(c.Check))
	require.Equal(t, map[string]string{"base_paths": "needs at least one path"}, problems(pusher.ClientServerConfig{}.Check))
}

func problems(check func(func(path, problem string))) map[string]string {
	found := map[string]string{}
	check(func(path, problem string) { found[path] = problem })
	return found
}
