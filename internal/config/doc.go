// Package config reads the one YAML file that pushgate runs by.
//
// It owns the layout of the file, the order (defaults, file, environment, absolute paths, checks) and the rules that span
// sections: which listener may show what, which roles exist, that two apps do not claim the same app_id. The rules
// inside a section belong to the package that uses it, which brings its own Config with DefaultConfig and Check. The
// machinery is in the package strict below.
//
// Every scalar key outside lists can be set by an environment variable: PUSHGATE_ and the key's path in capitals, with
// underscores for dots (listen.tls.cert_file is PUSHGATE_LISTEN_TLS_CERT_FILE). Relative paths are relative to the
// file's folder, those from the environment too. A secret is never a value, only the name of a file.
package config
