package egress

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewDialer_WhichProxyCounts(t *testing.T) {
	t.Parallel()
	const one, two = "http://one.test:3128", "http://two.test:3128"
	for _, c := range []struct {
		name    string
		environ []string
		config  string
		host    string
		want    string
	}{
		{"capitals", []string{"HTTPS_PROXY=" + one}, "", "push.test:443", one},
		{"small letters", []string{"https_proxy=" + one}, "", "push.test:443", one},
		{"capitals win", []string{"https_proxy=" + two, "HTTPS_PROXY=" + one}, "", "push.test:443", one},
		{"empty capitals do not win", []string{"HTTPS_PROXY=", "https_proxy=" + one}, "", "push.test:443", one},
		{"without a scheme", []string{"HTTPS_PROXY=one.test:3128"}, "", "push.test:443", one},
		{"with a password", []string{"HTTPS_PROXY=http://jane:secret@one.test:3128"}, "", "push.test:443", "http://jane:secret@one.test:3128"},
		{"any port", []string{"HTTPS_PROXY=" + one}, "", "push.test:2197", one},
		{"excepted name", []string{"HTTPS_PROXY=" + one, "NO_PROXY=other.test,push.test"}, "", "push.test:443", ""},
		{"excepted domain", []string{"HTTPS_PROXY=" + one, "no_proxy=.test"}, "", "push.test:443", ""},
		{"excepted port", []string{"HTTPS_PROXY=" + one, "NO_PROXY=push.test:2197"}, "", "push.test:443", one},
		{"excepted all", []string{"HTTPS_PROXY=" + one, "NO_PROXY=*"}, "", "push.test:443", ""},
		{"loopback is never proxied by the environment", []string{"HTTPS_PROXY=" + one}, "", "127.0.0.1:443", ""},
		{"but by the configuration", nil, two, "127.0.0.1:443", two},
		{"only for plain HTTP", []string{"HTTP_PROXY=" + one, "ALL_PROXY=" + one}, "", "push.test:443", ""},
		{"configuration beats the environment", []string{"HTTPS_PROXY=" + one, "NO_PROXY=*"}, two, "push.test:443", two},
		{"nothing set", nil, "", "push.test:443", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, err := NewDialer(DialerOptions{Config: Config{Proxy: c.config}, Environ: c.environ})
			require.NoError(t, err)
			got, err := d.proxyFor(&url.URL{Scheme: "https", Host: c.host})
			require.NoError(t, err)
			if c.want == "" {
				require.Nil(t, got)
				return
			}
			require.Equal(t, c.want, got.String())
		})
	}
}

func TestNewDialer_RefusesWhatIsNoProxyWithoutQuotingIt(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"socks5://c4n4ry.test:1080", "http://", "http://c4n4ry.test/path", "http://c4n4ry.test:port", "http://jane:c4n4ry@"} {
		_, err := NewDialer(DialerOptions{Environ: []string{"HTTPS_PROXY=" + bad}})
		require.ErrorContains(t, err, "environment variable HTTPS_PROXY")
		require.NotContains(t, err.Error(), "c4n4ry")
	}
}

func TestProxyAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://p.test": "p.test:80", "https://p.test": "p.test:443", "http://p.test:3128": "p.test:3128", "http://[::1]": "[::1]:80",
	} {
		u, problem := parseProxy(text)
		require.Empty(t, problem)
		require.Equal(t, want, proxyAddress(u))
	}
}
