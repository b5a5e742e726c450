package config_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/store/keyring"
)

// TestStorage_TakesTheKeysThatTheStoreTakes: a check that is stricter or laxer than the start is none.
func TestStorage_TakesTheKeysThatTheStoreTakes(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{0xfb}, 32)
	padded := base64.StdEncoding.EncodeToString(key)
	for name, c := range map[string]struct {
		text string
		good bool
	}{
		"Base64":              {padded, true},
		"Base64 without =":    {base64.RawStdEncoding.EncodeToString(key), true},
		"Base64 for URLs":     {base64.URLEncoding.EncodeToString(key), true},
		"Base64 on two lines": {padded[:20] + "\n" + padded[20:], false},
		"31 bytes":            {base64.StdEncoding.EncodeToString(key[1:]), false},
		"nothing":             {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "encryption.key")
			require.NoError(t, os.WriteFile(file, []byte(c.text+"\n"), 0o600))
			problems := map[string]string{}
			config.Storage{URL: "sqlite", EncryptionKeyFile: file}.Check(func(path, problem string) { problems[path] = problem })
			require.Equal(t, c.good, keyring.CheckFile(file) == nil)
			if c.good {
				require.Empty(t, problems)
			} else {
				require.Equal(t, map[string]string{"encryption_key_file": "must hold one line: 32 bytes in hex or Base64"}, problems)
			}
		})
	}
}
