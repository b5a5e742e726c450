package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/pushgate/pushgate/internal/store/keyring"
)

const storageSQLite = "sqlite"

// Storage names the one engine behind everything durable.
type Storage struct {
	// URL is sqlite (a file in data_dir) or postgres://user@host:port/database?... It must not hold a password.
	URL string `yaml:"url"`
	// PasswordFile holds the password of the user in URL, on one line.
	PasswordFile string `yaml:"password_file"`
	// EncryptionKeyFile is one line, 32 bytes in hex or Base64. SQLite makes one in data_dir when it is empty; with
	// PostgreSQL it must exist, because all nodes share it.
	EncryptionKeyFile string `yaml:"encryption_key_file"`
	// OldKeyFiles are keys from before a rotation, for rows that were written with them.
	OldKeyFiles []string `yaml:"old_key_files"`
}

// SQLite reports whether the embedded engine is used.
func (s Storage) SQLite() bool { return s.URL == storageSQLite }

// DSN returns URL with the password from PasswordFile. It is a secret: hand it to the driver and to nobody else.
func (s Storage) DSN() (string, error) {
	if s.SQLite() || s.PasswordFile == "" {
		return s.URL, nil
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", errors.New("storage.url: not a URL")
	}
	text, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read storage.password_file: %w", err)
	}
	u.User = url.UserPassword(u.User.Username(), strings.TrimRight(string(text), "\r\n"))
	return u.String(), nil
}

// Check reports every problem with its path in the section.
func (s Storage) Check(report func(path, problem string)) {
	s.checkURL(report)
	if s.EncryptionKeyFile != "" {
		checkKeyFile("encryption_key_file", s.EncryptionKeyFile, report)
	} else if !s.SQLite() {
		report("encryption_key_file", "is required with PostgreSQL: all nodes share the key")
	}
	for i, f := range s.OldKeyFiles {
		checkKeyFile(fmt.Sprintf("old_key_files[%d]", i), f, report)
	}
}

func (s Storage) checkURL(report func(path, problem string)) {
	if s.SQLite() {
		if s.PasswordFile != "" {
			report("password_file", "is for PostgreSQL")
		}
		return
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		report("url", "must be sqlite, or begin with postgres://")
		return
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		report("url", "must not hold a password: write it into storage.password_file")
	}
	if s.PasswordFile == "" {
		return
	}
	if u.User.Username() == "" {
		report("url", "needs a user (postgres://user@host/database) for password_file")
	}
	checkReadable("password_file", s.PasswordFile, report)
}

// checkKeyFile asks the package that will read the key. It says nothing about what it saw.
func checkKeyFile(path, file string, report func(path, problem string)) {
	var unread *fs.PathError
	switch err := keyring.CheckFile(file); {
	case err == nil:
	case errors.As(err, &unread):
		report(path, unreadable(err))
	default:
		report(path, "must hold one line: 32 bytes in hex or Base64")
	}
}

func checkReadable(path, file string, report func(path, problem string)) {
	f, err := os.Open(file)
	if err == nil {
		_, err = f.Read(make([]byte, 1)) // a folder opens, and does not read
		_ = f.Close()
	}
	if err != nil {
		report(path, unreadable(err))
	}
}

func unreadable(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "no such file"
	}
	return "not readable"
}
