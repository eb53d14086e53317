package config

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"theeye/internal/duration"
)

func defaults() Config {
	return Config{
		Data: "./eye-data", Listen: "127.0.0.1:8080",
		MaxRequestBytes: 4 << 20, MaxEventBytes: 256 << 10, MaxBatchEvents: 10_000,
		FutureTolerance: 5 * time.Minute, SkewTolerance: time.Minute, DedupeWindow: 7 * 24 * time.Hour, FlushRows: 1_000_000, FlushAge: 10 * time.Minute,
	}
}

// loadText loads a command line in which FILE stands for a file with the given YAML.
func loadText(t *testing.T, yaml string, environ []string, line ...string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "eye.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	AddFlags(fs)
	for i := range line {
		line[i] = strings.ReplaceAll(line[i], "FILE", path)
	}
	if err := fs.Parse(line); err != nil {
		t.Fatal(err)
	}
	c, err := Load(fs, environ)
	if err != nil {
		err = errors.New(strings.ReplaceAll(err.Error(), path, "FILE"))
	}
	return c, err
}

func TestLoadConfig(t *testing.T) {
	for _, tc := range []struct {
		name, yaml string
		environ    []string
		line       []string
		change     func(*Config)
	}{
		{name: "defaults", change: func(*Config) {}},
		{
			name: "flag over environment over file",
			yaml: "listen: 0.0.0.0:1\ndata: a\nlegacy-app: old\nmax-batch-events: 7\ndemo: true\n",
			environ: []string{
				"EYE_LISTEN=0.0.0.0:2", "EYE_DATA=b", "HOME=/", "EYE_SERVICE_HOST=10.0.0.1", "EYE_LEGACY_APP=",
			},
			line: []string{"--config=FILE", "--listen=0.0.0.0:3"},
			change: func(c *Config) {
				c.Listen, c.Data, c.LegacyApp, c.MaxBatchEvents, c.Demo = "0.0.0.0:3", "b", "old", 7, true
			},
		},
		{
			name: "units",
			line: []string{"--max-request-bytes=8MiB", "--max-event-bytes=1024", "--store-memory=2GiB", "--dedupe-window=30d", "--skew-tolerance=0s", "--log-level=debug"},
			change: func(c *Config) {
				c.MaxRequestBytes, c.MaxEventBytes, c.StoreMemory = 8<<20, 1024, 2<<30
				c.DedupeWindow, c.SkewTolerance, c.LogLevel = 720*time.Hour, 0, slog.LevelDebug
			},
		},
		{
			name:    "networks of proxies",
			environ: []string{"EYE_TRUSTED_PROXIES=10.1.2.3/8, 192.0.2.7,2001:db8::/32"},
			change: func(c *Config) {
				c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32")}
			},
		},
		{
			name: "a flag with the default's value wins too",
			yaml: "listen: 0.0.0.0:1\n", line: []string{"--config=FILE", "--listen=127.0.0.1:8080"},
			change: func(*Config) {},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := loadText(t, tc.yaml, tc.environ, tc.line...)
			if err != nil {
				t.Fatal(err)
			}
			want := defaults()
			tc.change(&want)
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadConfigTellsAllFaultsAtOnce(t *testing.T) {
	_, err := loadText(t, "lissen: x\nmax_batch_events: 3\ncolour: red\nmax-batch-events: 0\nstore: {url: x}\nfuture-tolerance: 5\n",
		[]string{"EYE_LOG_LEVEL=loud", "EYE_TLS_CERT=cert.pem"},
		"--config=FILE", "--listen=8080", "--max-event-bytes=8MiB", "--queue=nats://x", "--queue-max-bytes=lots", "--store-memory=64MiB", "--admin-key=secret", "--data=", "--trusted-proxies=10.0.0.0/8,proxy", "--legacy-app=Shop")
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		`FILE: unknown setting "colour"; known are data, listen, `,
		`FILE: unknown setting "lissen"; did you mean "listen"?`,
		`FILE: unknown setting "max_batch_events"; did you mean "max-batch-events"?`,
		`FILE: store must be one value, not a list or a group`,
		`--data is empty; give a path`,
		`--listen "8080" is not a valid address; use host:port, such as 127.0.0.1:8080`,
		`--admin-key is too short or has characters that are not allowed; use at least 32 ASCII characters`,
		`--queue "nats://x" is not available; only the embedded one exists so far, so leave it out`,
		`FILE: --max-batch-events "0" is not valid; use a whole number from 1 to 1000000`,
		`--queue-max-bytes "lots" is not a valid size`,
		`--store-memory "64MiB" is too small; use at least 128MiB`,
		`FILE: --future-tolerance "5" is not a valid duration; use a number and a unit`,
		`--legacy-app "Shop" is not a valid name; use 1 to 64 of a-z, 0-9, dot, underscore and hyphen`,
		`--trusted-proxies "proxy" is not a valid network; use networks or addresses separated by commas`,
		`EYE_LOG_LEVEL: --log-level "loud" is not a log level`,
		`--tls-cert and --tls-key go together`,
		`--max-event-bytes (8388608) is larger than --max-request-bytes (4194304)`,
	}
	got := strings.Split(err.Error(), "\n")
	for i := range min(len(got), len(want)) {
		if strings.HasPrefix(got[i], want[i]) {
			got[i] = want[i]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadConfigNeedsTheFile(t *testing.T) {
	_, err := loadText(t, "", []string{"EYE_CONFIG=does-not-exist.yaml"})
	if err == nil || !strings.Contains(err.Error(), "--config: does-not-exist.yaml cannot be read") {
		t.Errorf("got %v", err)
	}
	_, err = loadText(t, "a: [", nil, "--config=FILE")
	if err == nil || !strings.Contains(err.Error(), "--config: FILE cannot be read") {
		t.Errorf("got %v", err)
	}
}

func TestUnknownVariables(t *testing.T) {
	for variable, want := range map[string]string{
		"EYE_LISTN=1":            "EYE_LISTN is not a variable of The Eye and is ignored; did you mean EYE_LISTEN?",
		"EYE_MAX_BATCH_EVENT=1":  "EYE_MAX_BATCH_EVENT is not a variable of The Eye and is ignored; did you mean EYE_MAX_BATCH_EVENTS?",
		"EYE_CONFG=x":            "EYE_CONFG is not a variable of The Eye and is ignored; did you mean EYE_CONFIG?",
		"EYE_COLOUR=red":         "EYE_COLOUR is not a variable of The Eye and is ignored",
		"EYE_PORT=9000":          "EYE_PORT is not a variable of The Eye and is ignored",
		"EYE_LISTN=":             "",
		"EYE_LISTEN=127.0.0.1:1": "",
		"EYE_CONFIG=x":           "",
		"EYE_URL=x":              "",
		"EYE_KEY=x":              "",
		"EYE_TEST_CUTS=20":       "",
		"EYE_FAULT_KILL=x":       "",
		"EYEBROW=x":              "",
		"HOME=/":                 "",
		// Kubernetes creates these for a service called eye.
		"EYE_SERVICE_HOST=10.0.0.1":         "",
		"EYE_SERVICE_PORT=80":               "",
		"EYE_SERVICE_PORT_HTTP=80":          "",
		"EYE_PORT=tcp://10.0.0.1:80":        "",
		"EYE_PORT_80_TCP=tcp://10.0.0.1:80": "",
		"EYE_PORT_80_TCP_ADDR=10.0.0.1":     "",
	} {
		got := UnknownVariables([]string{"A=b", variable})
		if strings.Join(got, "\n") != want {
			t.Errorf("%s: got %q, want %q", variable, got, want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"4MiB", "0", "8 GiB", "99999999999GiB", "-1", "MiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := parseSize(text); err == nil && n < 0 {
			t.Errorf("%q is %d", text, n)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"5m", "30d", "d", "106752d", "-1d", "1h30m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := duration.Parse(text); err == nil && d < 0 && !strings.HasPrefix(text, "-") {
			t.Errorf("%q is %s", text, d)
		}
	})
}
