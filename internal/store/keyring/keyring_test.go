package keyring

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// raw is a key whose bytes are easy to look for in texts.
func raw(first byte) []byte { return bytes.Repeat([]byte{first, 0xc5}, keySize/2) }

func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.key")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func writeKey(t testing.TB, first byte) string {
	t.Helper()
	return write(t, hex.EncodeToString(raw(first))+"\n")
}

func load(t testing.TB, current string, old ...string) *Sealer {
	t.Helper()
	s, err := Load(Files{Current: current, Old: old}, true, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return s
}

func TestCheckFile(t *testing.T) {
	t.Parallel()
	key := raw(7)
	for name, tt := range map[string]struct {
		text string
		ok   bool
	}{
		"hex":                       {hex.EncodeToString(key), true},
		"upper-case hex, line end":  {strings.ToUpper(hex.EncodeToString(key)) + "\r\n", true},
		"Base64":                    {base64.StdEncoding.EncodeToString(key) + "\n", true},
		"Base64 without padding":    {base64.RawStdEncoding.EncodeToString(key), true},
		"URL-safe Base64":           {base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, keySize)), true},
		"blanks around":             {"  " + hex.EncodeToString(key) + "\n\n", true},
		"empty":                     {"", false},
		"31 bytes":                  {hex.EncodeToString(key[1:]), false},
		"33 bytes":                  {hex.EncodeToString(append(raw(1), 9)), false},
		"not hex":                   {strings.Repeat("g", 64), false},
		"two lines":                 {hex.EncodeToString(key) + "\n" + hex.EncodeToString(key), false},
		"Base64 over two lines":     {base64.StdEncoding.EncodeToString(key)[:20] + "\n" + base64.StdEncoding.EncodeToString(key)[20:], false},
		"32 raw bytes":              {string(key), false},
		"far too long":              {strings.Repeat("a", 1<<20), false},
		"Base64 with stray bits":    {strings.Repeat("A", 42) + "B=", false},
		"a PEM file by mistake":     {"-----BEGIN PRIVATE KEY-----\n" + hex.EncodeToString(key), false},
		"a passphrase of 32 letter": {"correct horse battery staple 123", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := CheckFile(write(t, tt.text))
			if tt.ok {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, errKeyFormat)
			if len(tt.text) >= 8 {
				require.NotContains(t, err.Error(), tt.text[:8], "no byte of a key in an error")
			}
		})
	}
	require.ErrorIs(t, CheckFile(filepath.Join(t.TempDir(), "absent")), fs.ErrNotExist)
}

func TestCheckFile_SpellingsAreOneKey(t *testing.T) {
	t.Parallel()
	want := load(t, write(t, hex.EncodeToString(raw(7)))).Fingerprint()
	require.Equal(t, want, load(t, write(t, base64.RawURLEncoding.EncodeToString(raw(7)))).Fingerprint())
	require.NotEqual(t, want, load(t, writeKey(t, 8)).Fingerprint())
}

func TestCreate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new.key")
	require.NoError(t, Create(path))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, CheckFile(path))
	first, err := os.ReadFile(path)
	require.NoError(t, err)

	require.ErrorIs(t, Create(path), fs.ErrExist, "a key is never overwritten")
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, first, again)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left lying about")

	other := filepath.Join(t.TempDir(), "other.key")
	require.NoError(t, Create(other))
	second, err := os.ReadFile(other)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
}

func TestLoad_CreatesAKeyOnlyForANewDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.key")
	logger := slog.New(slog.DiscardHandler)
	_, err := Load(Files{Current: path, CreateCurrent: true}, true, logger)
	require.ErrorIs(t, err, fs.ErrNotExist, "a new key cannot open an old database")
	require.NoFileExists(t, path)
	_, err = Load(Files{Current: path}, false, logger)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Load(Files{Current: path, CreateCurrent: true}, false, logger)
	require.NoError(t, err)
	require.FileExists(t, path)
}

func TestLoad_WarnsOfAReadableKey(t *testing.T) {
	t.Parallel()
	path := writeKey(t, 1)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	_, err := Load(Files{Current: path}, true, logger)
	require.NoError(t, err)
	require.Empty(t, log.String())
	require.NoError(t, os.Chmod(path, 0o644))
	_, err = Load(Files{Current: path}, true, logger)
	require.NoError(t, err)
	require.Contains(t, log.String(), "readable by everybody")
	require.NotContains(t, log.String(), hex.EncodeToString(raw(1))[:8])
}

var here = Place{Table: "payload", Column: "body", Row: []byte("row 1")}

func TestSealer_RoundTrip(t *testing.T) {
	t.Parallel()
	s := load(t, writeKey(t, 1))
	for _, plain := range [][]byte{{}, []byte("x"), bytes.Repeat([]byte{0}, 100_000)} {
		sealed := s.Seal(here, plain)
		require.Len(t, sealed, len(plain)+Overhead)
		require.True(t, bytes.HasPrefix(sealed, s.Current()))
		got, err := s.Open(here, sealed)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, got))
		require.NotEqual(t, sealed, s.Seal(here, plain), "a fresh nonce each time")
	}
}

func TestSealer_OpensInItsPlaceOnly(t *testing.T) {
	t.Parallel()
	s := load(t, writeKey(t, 1))
	sealed := s.Seal(here, []byte("secret"))
	for name, p := range map[string]Place{
		"another row":          {Table: "payload", Column: "body", Row: []byte("row 2")},
		"another column":       {Table: "payload", Column: "data", Row: here.Row},
		"another table":        {Table: "pusher", Column: "body", Row: here.Row},
		"parts cut elsewhere":  {Table: "payloadb", Column: "ody", Row: here.Row},
		"row into the column":  {Table: "payload", Column: "bodyrow 1"},
		"nothing":              {},
		"a long row that fits": {Table: "payload", Column: "body", Row: bytes.Repeat([]byte("x"), 500)},
	} {
		_, err := s.Open(p, sealed)
		require.ErrorIs(t, err, ErrCorrupt, name)
	}
	long := Place{Table: "t", Column: "c", Row: bytes.Repeat([]byte("x"), 500)}
	got, err := s.Open(long, s.Seal(long, []byte("v")))
	require.NoError(t, err)
	require.Equal(t, []byte("v"), got)
}

func TestSealer_EveryDamagedByteIsFound(t *testing.T) {
	t.Parallel()
	s := load(t, writeKey(t, 1))
	sealed := s.Seal(here, []byte("secret"))
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		_, err := s.Open(here, bad)
		require.Truef(t, errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnknownKey), "byte %d", i)
	}
	for n := range sealed {
		_, err := s.Open(here, sealed[:n])
		require.ErrorIsf(t, err, ErrCorrupt, "cut to %d bytes", n)
	}
}

func TestSealer_Rotation(t *testing.T) {
	t.Parallel()
	before, after := writeKey(t, 1), writeKey(t, 2)
	old := load(t, before).Seal(here, []byte("old"))
	both := load(t, after, before)
	require.True(t, both.HasOld())
	got, err := both.Open(here, old)
	require.NoError(t, err)
	require.Equal(t, []byte("old"), got)
	require.False(t, bytes.HasPrefix(old, both.Current()))

	fresh := both.Seal(here, []byte("new"))
	_, err = load(t, before).Open(here, fresh)
	require.ErrorIs(t, err, ErrUnknownKey)
	_, err = load(t, after).Open(here, old)
	require.ErrorIs(t, err, ErrUnknownKey)
	require.False(t, load(t, after).HasOld())
	require.False(t, load(t, after, after).HasOld(), "the same key twice is one key")
}

func FuzzOpen(f *testing.F) {
	s := load(f, writeKey(f, 1))
	f.Add(s.Seal(here, []byte("secret")))
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		plain, err := s.Open(here, sealed)
		if err != nil {
			require.Nil(t, plain)
			require.True(t, errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnknownKey))
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte(hex.EncodeToString(raw(1))))
	f.Add([]byte(base64.StdEncoding.EncodeToString(raw(1))))
	f.Fuzz(func(t *testing.T, text []byte) {
		if key, ok := parseKey(text); ok {
			require.Len(t, key, keySize)
		}
	})
}

// facts is a database's meta table in memory.
type facts struct {
	values map[string][]byte
	fail   error
}

func (f *facts) Get(_ context.Context, name string) ([]byte, bool, error) {
	v, ok := f.values[name]
	return v, ok, f.fail
}

func (f *facts) Put(_ context.Context, name string, value []byte) error {
	if f.fail == nil {
		f.values[name] = value
	}
	return f.fail
}

func TestUnlock(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	first, second, third := writeKey(t, 1), writeKey(t, 2), writeKey(t, 3)
	db := &facts{values: map[string][]byte{}}
	known, err := Known(ctx, db)
	require.NoError(t, err)
	require.False(t, known)

	h, err := Unlock(ctx, load(t, first), db)
	require.NoError(t, err)
	want := h.Hash("device", "a", "b")
	known, err = Known(ctx, db)
	require.NoError(t, err)
	require.True(t, known)
	unlock := func(s *Sealer) push.Hash {
		t.Helper()
		h, err := Unlock(ctx, s, db)
		require.NoError(t, err)
		return h.Hash("device", "a", "b")
	}
	require.Equal(t, want, unlock(load(t, first)), "the same over restarts")

	_, err = Unlock(ctx, load(t, second), db)
	require.ErrorIs(t, err, ErrWrongKey)
	require.Contains(t, err.Error(), load(t, first).Fingerprint().String())
	require.Contains(t, err.Error(), load(t, second).Fingerprint().String())
	require.NotContains(t, err.Error(), hex.EncodeToString(raw(2))[:8])

	require.Equal(t, want, unlock(load(t, second, first)), "rotation keeps the look-up key")
	require.Equal(t, want, unlock(load(t, second)), "and the old key is not needed for it any more")
	_, err = Unlock(ctx, load(t, third), db)
	require.ErrorIs(t, err, ErrWrongKey)
	require.Equal(t, want, unlock(load(t, third, first, second)))
}

func TestUnlock_NewDatabasesHashDifferently(t *testing.T) {
	t.Parallel()
	s := load(t, writeKey(t, 1))
	one, err := Unlock(context.Background(), s, &facts{values: map[string][]byte{}})
	require.NoError(t, err)
	two, err := Unlock(context.Background(), s, &facts{values: map[string][]byte{}})
	require.NoError(t, err)
	require.NotEqual(t, one.Hash("device", "a"), two.Hash("device", "a"), "the look-up key is random, not made from the key")
}

func TestUnlock_SaysWhatIsWrongWithTheDatabase(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := load(t, writeKey(t, 1))
	for name, spoil := range map[string]func(db *facts){
		"no answer":           func(db *facts) { db.fail = errors.New("disk I/O error") },
		"cut fingerprint":     func(db *facts) { db.values[metaFingerprint] = []byte{1} },
		"no look-up key":      func(db *facts) { delete(db.values, metaLookupKey) },
		"damaged look-up key": func(db *facts) { db.values[metaLookupKey][30] ^= 1 },
	} {
		db := &facts{values: map[string][]byte{}}
		_, err := Unlock(ctx, s, db)
		require.NoError(t, err)
		spoil(db)
		_, err = Unlock(ctx, s, db)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, ErrWrongKey, name)
	}
}

func BenchmarkHash(b *testing.B) {
	h := newHasher(raw(1))
	b.ReportAllocs()
	for b.Loop() {
		h.Hash("device", "com.example.app.ios", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	}
}

func BenchmarkSeal(b *testing.B) {
	s, plain := load(b, writeKey(b, 1)), make([]byte, 2048)
	b.ReportAllocs()
	for b.Loop() {
		s.Seal(here, plain)
	}
}
