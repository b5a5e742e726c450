package storetest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
	"github.com/pushgate/pushgate/internal/store"
	"github.com/pushgate/pushgate/internal/store/keyring"
)

func keyCases() []testCase {
	return []testCase{
		{"nothing at rest can be read", keyCanary},
		{"another key is refused", keyWrong},
		{"rotation reads old rows and keeps the hashes", keyRotation},
		{"rotation seals the registry again", keyRotationOfRegistry},
		{"a row that cannot be opened waits and stops nobody", keyDamaged},
	}
}

// NewKeyFile writes a fresh key and returns its path.
func NewKeyFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.key")
	require.NoError(t, keyring.Create(path))
	return path
}

func keyCanary(t *testing.T, h *Harness) {
	const canary = "canary-d5f0c1b2-pushkey-and-content"
	r := h.row(1)
	r.Payload = bytes.Repeat([]byte(canary), 50)
	enqueue(t, h.Store, r)
	raw := h.Raw(t)
	require.NotEmpty(t, raw)
	device := hashOf(1)
	require.True(t, bytes.Contains(raw, device[:]) || bytes.Contains(raw, []byte(hex.EncodeToString(device[:]))), "the search finds what is there")
	for name, text := range map[string]string{
		"plain": canary, "hex": hex.EncodeToString([]byte(canary)), "Base64": base64.StdEncoding.EncodeToString([]byte(canary))[:24],
	} {
		require.Falsef(t, bytes.Contains(raw, []byte(text)), "%s is readable at rest", name)
	}
}

func keyWrong(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	path := NewKeyFile(t)
	_, err := h.Reopen(t, keyring.Files{Current: path})
	require.ErrorIs(t, err, keyring.ErrWrongKey)
	text, readErr := os.ReadFile(path)
	require.NoError(t, readErr)
	require.NotContains(t, err.Error(), string(text[:8]), "no byte of a key in an error")
}

func keyRotation(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	before := h.Store.Hash("device", "a", "b")
	fresh := NewKeyFile(t)

	s, err := h.Reopen(t, keyring.Files{Current: fresh, Old: []string{h.KeyFile}})
	require.NoError(t, err)
	require.Equal(t, before, s.Hash("device", "a", "b"), "the look-up key is wrapped anew, not changed")
	enqueue(t, s, h.row(2))

	s, err = h.Reopen(t, keyring.Files{Current: fresh, Old: []string{h.KeyFile}})
	require.NoError(t, err, "a second start with the same keys")
	got := claim(t, s, 10)
	require.Equal(t, []int{1, 2}, devicesOf(got), "rows under the old and the new key")
	require.Equal(t, []byte{'p', 1}, got[0].Payload)
	enqueue(t, s, h.row(3))

	s, err = h.Reopen(t, keyring.Files{Current: fresh})
	require.NoError(t, err, "the old key is not needed any more")
	require.Equal(t, before, s.Hash("device", "a", "b"))
	require.Contains(t, devicesOf(claim(t, s, 10)), 3)

	_, err = h.Reopen(t, keyring.Files{Current: h.KeyFile})
	require.ErrorIs(t, err, keyring.ErrWrongKey, "the old key alone is a wrong key now")
}

// keyRotationOfRegistry waits until the old key is not needed any more: pushers live for years, so nobody can wait for
// them to end as rows of the queue do.
func keyRotationOfRegistry(t *testing.T, h *Harness) {
	const n = 450 // more than two slices
	owner := push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X110400001"}
	for i := range n {
		p := pushertest.Sample(owner, appA, push.Pushkey(fmt.Sprintf("key %d", i)))
		if i%2 == 0 {
			p.DeviceID = ""
			p.Encryption = pushertest.SampleEncryption(t, byte(i))
		}
		require.NoError(t, h.Store.SetPusher(ctxOf(t), pusher.Registration{Pusher: p}))
	}
	want, err := h.Store.ListPushers(ctxOf(t), owner)
	require.NoError(t, err)
	require.Len(t, want, n)

	fresh := NewKeyFile(t)
	_, err = h.Reopen(t, keyring.Files{Current: fresh, Old: []string{h.KeyFile}})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(h.Log.String(), "old_key_files may go") }, time.Minute, time.Millisecond)
	s, err := h.Reopen(t, keyring.Files{Current: fresh})
	require.NoError(t, err)
	got, err := s.ListPushers(ctxOf(t), owner)
	require.NoError(t, err)
	require.Equal(t, want, got, "nothing about a pusher changes, its times least of all")
	requireChains(t, s, want)
}

// keyChains is what both implementations show to tests: no port returns a key chain by itself.
type keyChains interface {
	KeyChain(ctx context.Context, key pusher.Key) (*pusher.Encryption, error)
}

func requireChains(t *testing.T, s store.Store, pushers []pusher.Pusher) {
	t.Helper()
	chains, ok := s.(keyChains)
	require.True(t, ok)
	encrypted := 0
	for _, p := range pushers {
		e, err := chains.KeyChain(ctxOf(t), p.Key)
		require.NoError(t, err)
		if e != nil {
			encrypted++
		}
	}
	require.Equal(t, (len(pushers)+1)/2, encrypted)
}

func keyDamaged(t *testing.T, h *Harness) {
	var damaged []int
	for i := range 100 { // many times what is claimed at once
		damaged = append(damaged, 100+i)
	}
	enqueue(t, h.Store, h.rows(damaged...)...)
	h.Damage(t)
	enqueue(t, h.Store, h.row(3))
	require.Equal(t, []int{3}, devicesOf(claim(t, h.Store, 10)))
	require.Equal(t, 101, backlog(t, h.Store).Rows, "kept until the deadline: the right key may come back")
	require.Empty(t, claim(t, h.Store, 10), "and not tried again at once")
	require.Contains(t, h.Log.String(), "cannot be opened", "somebody has to look")
	h.Advance(t, 2*time.Minute)
	require.Equal(t, []int{3}, devicesOf(claim(t, h.Store, 10)))
	h.Advance(t, life)
	counts, err := h.Store.Expire(ctxOf(t), 1000)
	require.NoError(t, err)
	require.Equal(t, map[push.AppID]int{appA: 101}, counts)
}
