package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pushgate/pushgate/internal/config/importer"
)

// importWith converts one foreign file: the configuration goes to standard output or -o, what there is to say about it
// to standard error.
func importWith(name string, convert func([]byte) (importer.Result, error)) func(context.Context, Env) error {
	return func(_ context.Context, env Env) error {
		fs := newFlags(env, "config import "+name, "[-o pushgate.yaml] FILE")
		out := fs.String("o", "", "file to write (0600, never overwritten); empty prints the configuration")
		if err := parse(env, fs, 1); err != nil {
			return err
		}
		text, err := os.ReadFile(fs.Arg(0))
		if err != nil {
			return fmt.Errorf("read the file: %w", err)
		}
		res, err := convert(text)
		if err != nil {
			return err
		}
		return writeImport(env, fs, *out, res)
	}
}

func writeImport(env Env, fs *flag.FlagSet, out string, res importer.Result) error {
	for _, n := range res.Notes {
		_, _ = fmt.Fprintf(env.Stderr, "%s: %s\n", n.Key, n.Text)
	}
	if out == "" {
		_, _ = env.Stdout.Write(res.YAML)
		if len(res.Files) > 0 {
			return errors.New("the file holds a secret that belongs into a file of its own: name the configuration with -o and it is written beside it")
		}
		return nil
	}
	for name, secret := range res.Files {
		if err := writeNew(filepath.Join(filepath.Dir(out), name), []byte(secret+"\n")); err != nil {
			return err
		}
	}
	if err := writeNew(out, res.YAML); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(env.Stderr, "\nwrote %s; next: pushgate config check %s (imported from %s)\n", out, out, fs.Arg(0))
	return nil
}

// writeNew creates a file that only its owner can read, and refuses to overwrite one.
func writeNew(file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
