package simulator

import (
	"log/slog"
	"time"
)

// Options say how a simulator starts. The zero value is a healthy, strict simulator on free loopback ports.
type Options struct {
	// Addresses are host:port; empty means 127.0.0.1:0.
	APNsAddr, FCMAddr, OAuthAddr, WebPushAddr, ControlAddr string
	// Names are further host names and IP addresses for the server certificates, beside localhost, 127.0.0.1 and ::1.
	Names []string
	// Logger hears about connections and conditions, never about notifications; nil is silence.
	Logger *slog.Logger
	// OnReceipt is called for each request that was answered or failed on purpose, on a connection's own goroutine:
	// it must be quick and safe for concurrent use. The receipt's Payload and Header are the callee's to keep.
	OnReceipt func(Receipt)
	// StreamLimit is SETTINGS_MAX_CONCURRENT_STREAMS of every connection; 0 means 1000.
	StreamLimit uint32
	// Latency delays every answer, as a round trip to the real service would.
	Latency time.Duration
	// KeepReceipts bounds the receipt log: the newest so many, 0 for all, negative for none.
	KeepReceipts int
	// BriefReceipts leaves Header and Payload out of the log (runs of millions); OnReceipt still gets them.
	BriefReceipts bool
	// Rules switch strictness on and off.
	Rules Rules
	// Now is the clock by which tokens are judged; nil is time.Now.
	Now func() time.Time
}

// Rules are those of the services' rules that a test may want otherwise. The zero value is strict, except for what
// Go's clients cannot live with by design.
type Rules struct {
	// OneStreamFirst allows a single stream on a token-authenticated APNs connection until its first valid token, as
	// Apple does. Go's transport opens many connections then, hence off by default.
	OneStreamFirst bool `json:"one_stream_first"`
	// TokenUpdateInterval is how often one APNs connection may change its provider token; 0 means 20 minutes,
	// negative switches the rule off.
	TokenUpdateInterval time.Duration `json:"-"`
	// BadTokenLimit ends an APNs connection by GOAWAY after so many BadDeviceToken in a row; 0 means never.
	BadTokenLimit int `json:"bad_token_limit"`
	// APNsTopics are the topics a provider token may send to; empty means any topic with a dot in it. Their suffixed
	// forms (.voip and so on) are included.
	APNsTopics []string `json:"apns_topics"`
	// AccessTokenLifetime is how long an OAuth access token lasts; 0 means one hour.
	AccessTokenLifetime time.Duration `json:"-"`
}

const (
	defaultAddr                = "127.0.0.1:0"
	defaultStreamLimit         = 1000
	defaultTokenUpdateInterval = 20 * time.Minute
	defaultAccessTokenLifetime = time.Hour
)

// withDefaults fills what was left out.
func (o Options) withDefaults() Options {
	for _, addr := range []*string{&o.APNsAddr, &o.FCMAddr, &o.OAuthAddr, &o.WebPushAddr, &o.ControlAddr} {
		if *addr == "" {
			*addr = defaultAddr
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.StreamLimit == 0 {
		o.StreamLimit = defaultStreamLimit
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
