package gateway

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConfig_Check(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(c *Config)
		want   []string // paths
	}{
		{"defaults", func(*Config) {}, nil},
		{"zero", func(c *Config) { *c = Config{} }, []string{
			"attempt_timeout", "provider_timeout", "retention", "retry.initial", "retry.max", "dedup.window",
			"max_request_kb", "max_notification_kb", "dedup.max_entries", "max_queued", "unknown_app_id",
		}},
		{"provider shorter than attempt", func(c *Config) { c.ProviderTimeout = time.Second }, []string{"provider_timeout"}},
		{"longer than gematik allows", func(c *Config) { c.Retention = 25 * time.Hour }, []string{"retention"}},
		{"ladder upside down", func(c *Config) { c.Retry.Max = time.Second }, []string{"retry.max"}},
		{"small bodies", func(c *Config) { c.MaxRequestKB = 255 }, []string{"max_request_kb"}},
		{"notification above request", func(c *Config) { c.MaxNotificationKB = 2000 }, []string{"max_notification_kb"}},
		{"absurd dedup", func(c *Config) { c.Dedup.MaxEntries = math.MaxInt }, []string{"dedup.max_entries"}},
		{"another word", func(c *Config) { c.UnknownAppID = "drop" }, []string{"unknown_app_id"}},
		{"share of nothing", func(c *Config) { c.RejectGuard.Share = math.NaN() }, []string{"reject_guard.share"}},
		{"share above all", func(c *Config) { c.RejectGuard.Share = 1.5 }, []string{"reject_guard.share"}},
		{"guard without numbers", func(c *Config) { c.RejectGuard = RejectGuard{Enabled: true} }, []string{"reject_guard.share", "reject_guard.min", "reject_guard.window"}},
		{"guard switched off", func(c *Config) { c.RejectGuard = RejectGuard{} }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := DefaultConfig()
			tt.change(&c)
			var got []string
			c.Check(func(path, problem string) {
				require.NotEmpty(t, problem)
				got = append(got, path)
			})
			require.Equal(t, tt.want, got)
		})
	}
}

func TestSender_Check(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		sender Sender
		want   []string
	}{
		{"apps", Sender{San: "fd", AppIDs: []string{"*"}}, nil},
		{"channels", Sender{San: "fd", Channels: []string{"*"}}, nil},
		{"empty", Sender{}, []string{"san", "app_ids"}},
		{"holes", Sender{San: "fd", AppIDs: []string{"a", ""}, Channels: []string{""}}, []string{"app_ids[1]", "channels[0]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			tt.sender.Check(func(path, _ string) { got = append(got, path) })
			require.Equal(t, tt.want, got)
		})
	}
}
