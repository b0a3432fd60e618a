package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// envPrefix begins the environment variable of every key.
const envPrefix = "STATICPOD_EXPORTER"

// A loader reads the configuration from flags, environment and file, as often as it is asked to.
type loader struct {
	flags *pflag.FlagSet
	usual string // the file that is read when none is named and it is there; "" is defaultConfigFile
}

// A loaded is one configuration with the file it came from.
type loaded struct {
	Config
	Path string // absolute; "" when there is no file
	Data []byte
}

// load reads the configuration. Errors name the file, line and field, or the flag or variable.
func (l loader) load() (loaded, error) {
	path, err := l.path()
	if err != nil {
		return loaded{}, err
	}
	if path == "" {
		return l.decode("", nil)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return loaded{Path: path}, fmt.Errorf("configuration: %w", err)
	}
	return l.decode(path, data)
}

// path is the configuration file's: of the flag, the variable, or the default one when it is there.
func (l loader) path() (string, error) {
	path, _ := l.flags.GetString("config.file")
	if path == "" {
		path = os.Getenv(envName("config.file"))
	}
	if path != "" {
		return filepath.Abs(path)
	}
	path = cmp.Or(l.usual, defaultConfigFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return path, nil
}

// decode reads a configuration from a file's content. A fresh Viper for every load: it has no memory that
// could mix two configurations.
func (l loader) decode(path string, data []byte) (loaded, error) {
	result := loaded{Path: path, Data: data}
	document, err := readConfigDocument(path, data, l.flags)
	if err != nil {
		return result, err
	}
	v := viper.New()
	v.SetConfigType("yaml")
	v.SetEnvPrefix(envPrefix)
	v.SetEnvKeyReplacer(envReplacer)
	if err := v.ReadConfig(bytes.NewReader(document.keys)); err != nil {
		return result, &manifest.ConfigError{Path: path, Message: err.Error()}
	}
	keys := map[string]bool{}
	l.flags.VisitAll(func(f *pflag.Flag) {
		if isKey(f.Name) {
			keys[f.Name] = true
			err = errors.Join(err, v.BindPFlag(f.Name, f), v.BindEnv(f.Name))
		}
	})
	if err != nil {
		return result, fmt.Errorf("configuration: %w", err)
	}
	if err := checkEnvironment(keys); err != nil {
		return result, err
	}
	if err := v.UnmarshalExact(&result.Config); err != nil {
		return result, &manifest.ConfigError{Path: path, Message: err.Error()}
	}
	if err := result.check(); err != nil {
		return result, l.blame(err, document)
	}
	return result, nil
}

// isKey reports whether a flag is a configuration key; --help and the like are not.
func isKey(flag string) bool {
	return flag == "node" || strings.Contains(flag, ".") && flag != "config.file"
}

var envReplacer = strings.NewReplacer(".", "_", "-", "_")

func envName(key string) string {
	return envPrefix + "_" + strings.ToUpper(envReplacer.Replace(key))
}

// checkEnvironment refuses variables of our prefix that are no key: a misspelt one would be ignored.
func checkEnvironment(keys map[string]bool) error {
	known := map[string]string{envName("config.file"): "config.file"}
	for key := range keys {
		known[envName(key)] = key
	}
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix+"_") || known[name] != "" {
			continue
		}
		return fmt.Errorf("environment variable %s: no such key%s", name, didYouMean(name, known))
	}
	return nil
}

// blame adds to an error about a key where its value came from.
func (l loader) blame(err error, document configDocument) error {
	invalid, ok := errors.AsType[*keyError](err)
	if !ok {
		return err
	}
	if f := l.flags.Lookup(invalid.key); f != nil && f.Changed {
		return fmt.Errorf("flag --%s: %s", invalid.key, invalid.message)
	}
	if _, set := os.LookupEnv(envName(invalid.key)); set {
		return fmt.Errorf("environment variable %s: %s", envName(invalid.key), invalid.message)
	}
	at := document.positions[invalid.key]
	return &manifest.ConfigError{Path: document.path, Line: at.line, Column: at.column, Field: invalid.key, Message: invalid.message}
}
