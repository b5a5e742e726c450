package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The wire format of a profile (profile.proto): one message of fields, of which the strings are number 6.
const (
	wireVarint  = 0
	wireBytes   = 2
	stringField = 6
)

var errProfile = errors.New("not a profile")

// writePGO merges the CPU profiles of all rows into the one that the compiler reads. Where the binary lay on this machine
// is taken out of it; it was built with -trimpath, so no other path is in it.
func (r *rig) writePGO(ctx context.Context, file string) error {
	parts, err := filepath.Glob(filepath.Join(r.profile, "*.cpu"))
	if err != nil || len(parts) == 0 {
		return fmt.Errorf("no profiles to merge: %w", err)
	}
	merged, err := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof", "-proto", "-symbolize=none", "-output=/dev/stdout"}, parts...)...).Output()
	if err != nil {
		return fmt.Errorf("merge profiles: %w", err)
	}
	zipped, err := gzip.NewReader(bytes.NewReader(merged))
	if err != nil {
		return fmt.Errorf("read the merged profile: %w", err)
	}
	plain, err := io.ReadAll(zipped)
	if err != nil {
		return fmt.Errorf("read the merged profile: %w", err)
	}
	if plain, err = renameStrings(plain, func(s string) string {
		if strings.HasSuffix(s, "/pushgate") && filepath.IsAbs(s) {
			return "pushgate"
		}
		return s
	}); err != nil {
		return err
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(plain) // into memory
	if err := w.Close(); err != nil {
		return fmt.Errorf("compress the profile: %w", err)
	}
	return os.WriteFile(file, out.Bytes(), 0o644) //nolint:gosec // part of the source tree
}

// renameStrings passes every string of a profile through name.
func renameStrings(profile []byte, name func(string) string) ([]byte, error) {
	var out []byte
	for rest := profile; len(rest) > 0; {
		tag, n := binary.Uvarint(rest)
		if n <= 0 {
			return nil, errProfile
		}
		value, m := binary.Uvarint(rest[n:])
		end := n + m
		if m <= 0 || tag&7 != wireVarint && tag&7 != wireBytes {
			return nil, errProfile
		}
		if tag&7 == wireBytes {
			if value > uint64(len(rest)-end) {
				return nil, errProfile
			}
			end += int(value) //nolint:gosec // within rest
		}
		if tag == stringField<<3|wireBytes {
			s := name(string(rest[n+m : end]))
			out = binary.AppendUvarint(binary.AppendUvarint(out, tag), uint64(len(s)))
			out = append(out, s...)
		} else {
			out = append(out, rest[:end]...)
		}
		rest = rest[end:]
	}
	return out, nil
}
