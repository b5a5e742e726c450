package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/config/strict"
	"github.com/pushgate/pushgate/internal/provider/apns"
	"github.com/pushgate/pushgate/internal/provider/fcm"
	"github.com/pushgate/pushgate/internal/provider/webpush"
	"github.com/pushgate/pushgate/internal/pusher"
)

// EnvPrefix begins the name of every environment variable that sets a key.
const EnvPrefix = "PUSHGATE_"

// maxFile bounds what is read, in case the path names something else: 10,000 apps are about 4 MB.
const maxFile = 16 << 20

// Loader reads configuration files. The zero value knows no role and reads no environment.
type Loader struct {
	// Roles are those that this build can play; any other is a configuration error.
	Roles []Role
	// Environ is os.Environ() where the environment may override the file.
	Environ []string
}

// BuiltRoles returns the roles that this build can play.
func BuiltRoles() []Role { return []Role{RoleGateway, RoleClientServer, RoleFachdienst} }

// Load reads and checks a file, with overrides from the environment of this process. The error is a *strict.Error with
// every problem, unless the file cannot be read at all.
func Load(path string) (*Config, error) {
	return Loader{Roles: BuiltRoles(), Environ: os.Environ()}.Load(path)
}

// Parse checks a document as if it were a file in the folder dir, without the environment.
func Parse(document []byte, dir string) (*Config, error) {
	return Loader{Roles: BuiltRoles()}.Parse(document, dir)
}

// Load reads and checks a file.
func (l Loader) Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer func() { _ = f.Close() }()
	document, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(document) > maxFile {
		return nil, fmt.Errorf("read configuration: larger than %d MB", maxFile>>20)
	}
	return l.Parse(document, filepath.Dir(path))
}

// Parse checks a document as if it were a file in the folder dir.
func (l Loader) Parse(document []byte, dir string) (*Config, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the configuration's folder: %w", err)
	}
	var problems strict.Problems
	c := Default()
	strict.Decode(document, &c, sectionDefaults(), &problems)
	strict.Override(&c, EnvPrefix, l.Environ, &problems)
	strict.Absolute(&c, dir, "data_dir")
	c.check(l.Roles, &problems)
	if err := problems.Err(); err != nil {
		return nil, err // the problems speak for themselves
	}
	return &c, nil
}

// sectionDefaults are what the sections start from that an empty file does not have.
func sectionDefaults() strict.Defaults {
	d := strict.Defaults{}
	strict.Default(d, apns.DefaultConfig)
	strict.Default(d, fcm.DefaultConfig)
	strict.Default(d, webpush.DefaultConfig)
	strict.Default(d, auth.DefaultJWTConfig)
	strict.Default(d, func() pusher.ChannelConfig { return pusher.ChannelConfig{Default: pusher.ChannelNotSet} })
	return d
}

// Changed lists the keys in which two configurations differ, in the order of the file: what a reload would change. Lists
// count as one key. What the files behind the keys hold is not compared.
func Changed(a, b *Config) []string { return strict.Changed(a, b) }
