package egress

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPublic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		address string
		want    bool
	}{
		{"8.8.8.8", true},
		{"142.250.185.74", true},
		{"2a00:1450:4001:830::200a", true},
		{"2620:149:208:430c::e", true},
		{"::ffff:8.8.8.8", true},
		{"64:ff9b::8.8.8.8", true}, // DNS64 in front of a public service

		{"0.0.0.0", false},
		{"0.1.2.3", false},
		{"10.0.0.1", false},
		{"10.255.255.255", false},
		{"100.64.0.1", false},
		{"100.100.100.200", false}, // metadata, Alibaba
		{"127.0.0.1", false},
		{"127.255.255.254", false},
		{"169.254.169.254", false}, // metadata, AWS, Azure, Google
		{"172.16.0.1", false},
		{"172.31.255.255", false},
		{"172.32.0.1", true},
		{"192.0.0.192", false}, // metadata, Oracle
		{"192.0.2.1", false},
		{"192.88.99.1", false},
		{"192.168.1.1", false},
		{"198.18.0.1", false},
		{"198.51.100.1", false},
		{"203.0.113.1", false},
		{"224.0.0.1", false},
		{"240.0.0.1", false},
		{"255.255.255.255", false},
		{"168.63.129.16", false}, // host agent, Azure

		{"::", false},
		{"::1", false},
		{"::127.0.0.1", false}, // IPv4-compatible
		{"::ffff:127.0.0.1", false},
		{"::ffff:169.254.169.254", false},
		{"::ffff:0:127.0.0.1", false}, // IPv4-translated
		{"64:ff9b::127.0.0.1", false},
		{"64:ff9b::10.0.0.1", false},
		{"64:ff9b:1::8.8.8.8", false}, // local NAT64 prefix
		{"100::1", false},
		{"2001::1", false},           // Teredo
		{"2001:db8::1", false},       // documentation
		{"2002:7f00:1::1", false},    // 6to4 with 127.0.0.1
		{"2002:808:808::1", false},   // 6to4 with a public address
		{"3fff::1", false},           // documentation
		{"5f00::1", false},           // segment routing
		{"fc00::1", false},           // unique local
		{"fd00:ec2::254", false},     // metadata, AWS
		{"fe80::1", false},           // link-local
		{"fe80::1%eth0", false},      // link-local with a zone
		{"2a00:1450::1%eth0", false}, // no public address has a zone
		{"fec0::1", false},           // site-local
		{"ff02::1", false},           // multicast
	} {
		t.Run(c.address, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, public(normal(netip.MustParseAddr(c.address)), special()))
		})
	}
	require.False(t, public(netip.Addr{}, special()), "the zero address")
}

func TestLooksNumeric(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"2130706433": true, "0x7f000001": true, "0X7F.1": true, "017700000001": true, "127.1": true, "127.0.0.1.": true,
		"0177.0.0.1": true, "1.2.3.0x": true, "example.com": false, "push.example": false, "1.example.com": false,
		"0xample.com": false, "4.host4": false, "": true, ".": true,
	} {
		require.Equal(t, want, looksNumeric(host), host)
	}
}

func TestParseNetwork(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/8": "10.0.0.0/8", "127.0.0.1": "127.0.0.1/32", "::1": "::1/128",
		"::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:10.0.0.1": "10.0.0.1/32", "fd00::/8": "fd00::/8",
	} {
		got, err := parseNetwork(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got.String(), text)
	}
	for _, text := range []string{"", "10.0.0.0/33", "example.com", "10.0.0", "fe80::1%eth0", "*"} {
		_, err := parseNetwork(text)
		require.Error(t, err, text)
	}
}
