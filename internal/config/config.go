// Package config reads the settings of a server from flags, the environment and a file. It checks
// all of them before it returns, so that its error lists every fault. No other package reads
// settings.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"theeye/internal/event"
)

const (
	envPrefix     = "EYE_"
	configSetting = "config"
)

// Config holds the settings of `eye serve`.
type Config struct {
	Data          string // the data directory
	Listen        string // host:port; port 0 picks one
	MetricsListen string // host:port; empty for none
	AdminKey      string // empty: the one in the data directory
	Store, Queue  string // empty: the embedded ones
	LegacyApp     string // empty for none
	TLSCert       string // a PEM file; empty for plain HTTP
	TLSKey        string

	TrustedProxies []netip.Prefix // whose X-Forwarded-For is trusted

	MaxRequestBytes int64 // decompressed
	MaxEventBytes   int64
	MaxBatchEvents  int
	QueueMaxBytes   int64 // 0: by the size of the disk
	StoreMemory     int64 // bytes; 0: by the machine's memory
	FlushRows       int64 // rows of the hot tables that become a segment

	FutureTolerance time.Duration
	SkewTolerance   time.Duration
	DedupeWindow    time.Duration
	FlushAge        time.Duration
	Retain          time.Duration // 0: forever

	LogLevel  slog.Level
	Demo      bool
	PrintKeys bool // even if standard output is not a terminal
}

// setting is one line of the table that flags, environment and file share.
type setting struct {
	name, fallback, usage string
	set                   func(c *Config, text string) error
}

// settings returns the table of all settings, in the order of the help.
func settings() []setting {
	return []setting{
		{"data", "./eye-data", "data `directory`", func(c *Config, s string) error { return setRequired(&c.Data, s) }},
		{"listen", "127.0.0.1:8080", "`address` to serve on; port 0 picks one", func(c *Config, s string) error { return setListen(&c.Listen, s) }},
		{"metrics-listen", "", "`address` that serves /metrics without a key", func(c *Config, s string) error { return setAddress(&c.MetricsListen, s) }},
		{"admin-key", "", "admin `key`; without it, one is created at the first start", func(c *Config, s string) error { return setAdminKey(&c.AdminKey, s) }},
		{"store", "", "`URL` of the store; empty for the embedded one", func(c *Config, s string) error { return setEmbedded(&c.Store, s) }},
		{"queue", "", "`URL` of the queue; empty for the embedded one", func(c *Config, s string) error { return setEmbedded(&c.Queue, s) }},
		{"max-request-bytes", "4MiB", "largest `size` of a request, decompressed", func(c *Config, s string) error { return SetSize(&c.MaxRequestBytes, s, 1) }},
		{"max-event-bytes", "256KiB", "largest `size` of an event", func(c *Config, s string) error { return SetSize(&c.MaxEventBytes, s, 1) }},
		{"max-batch-events", "10000", "largest `number` of events per request", func(c *Config, s string) error { return setCount(&c.MaxBatchEvents, s) }},
		{"queue-max-bytes", "0", "largest `size` of the queue on disk; 0 goes by the disk", func(c *Config, s string) error { return SetSize(&c.QueueMaxBytes, s, 0) }},
		{"store-memory", "0", "memory `size` of the store, at least 128MiB; 0 takes half of the machine's, at most 8GiB", func(c *Config, s string) error { return setStoreMemory(&c.StoreMemory, s) }},
		{"flush-rows", "1000000", "`number` of rows in memory that become a segment on disk", func(c *Config, s string) error { return setRows(&c.FlushRows, s) }},
		{"flush-age", "10m", "`duration` after which rows in memory become a segment", func(c *Config, s string) error { return setDuration(&c.FlushAge, s, time.Second) }},
		{"retain", "0", "`duration` to keep events, such as 720h or 30d; 0 keeps them forever; an application may have its own", func(c *Config, s string) error { return setRetain(&c.Retain, s) }},
		{"future-tolerance", "5m", "`duration` by which a timestamp may be ahead", func(c *Config, s string) error { return setDuration(&c.FutureTolerance, s, 0) }},
		{"skew-tolerance", "60s", "`duration` by which a sender's clock may be wrong before it is corrected", func(c *Config, s string) error { return setDuration(&c.SkewTolerance, s, 0) }},
		{"dedupe-window", "168h", "`duration` for which an id is remembered, whatever its time", func(c *Config, s string) error { return setDuration(&c.DedupeWindow, s, time.Second) }},
		{"legacy-app", "", "`application` of /event/, the address of the service that The Eye replaces, which needs no key", func(c *Config, s string) error { return setApp(&c.LegacyApp, s) }},
		{"tls-cert", "", "PEM `file` with the certificate", func(c *Config, s string) error { return setText(&c.TLSCert, s) }},
		{"tls-key", "", "PEM `file` with the key of the certificate", func(c *Config, s string) error { return setText(&c.TLSKey, s) }},
		{"trusted-proxies", "", "`networks` of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted, as in 10.0.0.0/8,192.0.2.7", func(c *Config, s string) error { return setNetworks(&c.TrustedProxies, s) }},
		{"log-level", "info", "log `level`: debug, info, warn or error", func(c *Config, s string) error { return setLevel(&c.LogLevel, s) }},
		{"print-keys", "false", "print the first start's keys even if standard output is not a terminal", func(c *Config, s string) error { return setBool(&c.PrintKeys, s) }},
		{"demo", "false", "fill an empty data directory with a week of sample traffic, and send more", func(c *Config, s string) error { return setBool(&c.Demo, s) }},
	}
}

// AddFlags adds a flag for each setting, and --config.
func AddFlags(fs *pflag.FlagSet) {
	fs.SortFlags = false
	fs.String(configSetting, "", "YAML `file` with settings ("+envName(configSetting)+")")
	for _, s := range settings() {
		usage := fmt.Sprintf("%s (%s)", s.usage, envName(s.name))
		if s.fallback == "false" {
			fs.Bool(s.name, false, usage)
		} else {
			fs.String(s.name, s.fallback, usage)
		}
	}
}

func envName(name string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Load reads the settings: defaults, then the file, then the environment, then flags; later ones
// take precedence. fs is the parsed flag set that AddFlags filled, and environ has the form of
// os.Environ. The error lists all faults, one per line, each saying what to do.
func Load(fs *pflag.FlagSet, environ []string) (Config, error) {
	var faults []error
	given := map[string]value{}
	fromEnv := environment(environ)
	if path := configPath(fs, fromEnv); path != "" {
		fromFile, problems := readFile(path)
		faults = append(faults, problems...)
		maps.Copy(given, fromFile)
	}
	maps.Copy(given, fromEnv)
	fs.Visit(func(f *pflag.Flag) { given[f.Name] = value{text: f.Value.String()} })

	var c Config
	for _, s := range settings() {
		v, ok := given[s.name]
		if !ok {
			v.text = s.fallback
		}
		if err := s.set(&c, v.text); err != nil {
			faults = append(faults, fmt.Errorf("%s--%s %w", v.source, s.name, err))
		}
	}
	faults = append(faults, c.conflicts()...)
	if len(faults) > 0 {
		return Config{}, errors.Join(faults...)
	}
	return c, nil
}

// value is the text of a setting that was given. source is the prefix of a message about it, such
// as "EYE_LISTEN: "; it is empty for a flag, which the message names anyway.
type value struct{ text, source string }

// conflicts returns the faults in combinations of settings.
func (c *Config) conflicts() (faults []error) {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		faults = append(faults, errors.New("--tls-cert and --tls-key go together: give both or none"))
	}
	if c.MaxEventBytes > 0 && c.MaxRequestBytes > 0 && c.MaxEventBytes > c.MaxRequestBytes {
		faults = append(faults, fmt.Errorf("--max-event-bytes (%d) is larger than --max-request-bytes (%d): lower the first or raise the second",
			c.MaxEventBytes, c.MaxRequestBytes))
	}
	return faults
}

// environment returns the settings in the environment by their names. An empty variable counts as
// absent, because compose files leave variables empty. An unknown variable is not a fault, because
// platforms add their own; see UnknownVariables.
func environment(environ []string) map[string]value {
	names := map[string]string{envName(configSetting): configSetting}
	for _, s := range settings() {
		names[envName(s.name)] = s.name
	}
	values := map[string]value{}
	for _, variable := range environ {
		key, text, _ := strings.Cut(variable, "=")
		if name, ok := names[key]; ok && text != "" {
			values[name] = value{text, key + ": "}
		}
	}
	return values
}

// ofPlatform matches the variables that Kubernetes creates for a service called eye, except
// EYE_PORT.
var ofPlatform = regexp.MustCompile(`^EYE_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_[0-9]+_.+)$`)

// UnknownVariables returns a line for each variable in the environment that has the name of a
// setting but is not one: nothing reads it.
func UnknownVariables(environ []string) (lines []string) {
	known := []string{envName(configSetting), "EYE_URL", "EYE_KEY"}
	for _, s := range settings() {
		known = append(known, envName(s.name))
	}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case !strings.HasPrefix(name, envPrefix), value == "", slices.Contains(known, name):
		case strings.HasPrefix(name, "EYE_TEST_"), strings.HasPrefix(name, "EYE_FAULT_"):
		case ofPlatform.MatchString(name), name == "EYE_PORT" && strings.Contains(value, "://"):
		default:
			line := name + " is not a variable of The Eye and is ignored"
			if near := event.Nearest(name, known); near != "" {
				line += "; did you mean " + near + "?"
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func configPath(fs *pflag.FlagSet, fromEnv map[string]value) string {
	if f := fs.Lookup(configSetting); f != nil && f.Changed {
		return f.Value.String()
	}
	return fromEnv[configSetting].text
}

// readFile returns the settings in a YAML file, and its faults.
func readFile(path string) (values map[string]value, faults []error) {
	var document map[string]any
	content, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(content, &document)
	}
	if err != nil {
		message := strings.ReplaceAll(err.Error(), "\n", " ")
		return nil, []error{fmt.Errorf("--config: %s cannot be read: %s", path, message)}
	}
	var known []string
	for _, s := range settings() {
		known = append(known, s.name)
	}
	values = map[string]value{}
	for _, name := range slices.Sorted(maps.Keys(document)) {
		switch v := document[name].(type) {
		case map[string]any, map[any]any, []any:
			faults = append(faults, fmt.Errorf("%s: %s must be one value, not a list or a group", path, name))
		case nil: // a key without a value counts as absent
		default:
			if !slices.Contains(known, name) {
				faults = append(faults, fmt.Errorf("%s: unknown setting %q%s", path, name, cmp.Or(event.DidYouMean(name, known, "%q"), "; known are "+strings.Join(known, ", "))))
				continue
			}
			values[name] = value{fmt.Sprint(v), path + ": "}
		}
	}
	return values, faults
}
