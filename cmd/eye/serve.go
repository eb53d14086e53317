package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"theeye/internal/registry"
)

func newServeCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: "Run the server: intake, queue, store and reading in one process.\n" +
			"Each flag may also be given as an environment variable (EYE_DATA for --data)\nor in a YAML file (--config).",
		Args: cobra.NoArgs,
	}
	addServeFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd.Flags(), os.Environ())
		if err != nil {
			return err
		}
		return serve(cmd.Context(), cfg, s)
	}
	return cmd
}

func serve(ctx context.Context, cfg Config, s streams) error {
	log := newLogger(s.err, cfg.LogLevel)
	srv, err := openServer(ctx, cfg, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var demo errgroup.Group
	err = srv.run(ctx, func(address string) error {
		base := baseURL(address, cfg.TLSCert != "")
		log.Info("ready", "address", address, "data", cfg.Data)
		greet(s.out, base, cfg.Data, srv.registry.FirstStart())
		if cfg.Demo {
			demo.Go(func() error {
				return runDemo(ctx, demoOptions{Client: srv.insideClient(srv.registry.FirstStart().AdminKey), Logger: log})
			})
		}
		return nil
	})
	cancel()
	if demoErr := demo.Wait(); demoErr != nil && err == nil {
		log.Warn("the demo ended", "error", demoErr)
	}
	return err
}

// baseURL is where a client on this machine finds a server that listens on address.
func baseURL(address string, secure bool) string {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		address = net.JoinHostPort(host, port)
	}
	return scheme + "://" + address
}

// greet prints where the server is and, once, the secrets that a first start
// made. They go to the standard output and never through the log.
func greet(out io.Writer, base, data string, first registry.FirstStart) {
	fmt.Fprintf(out, "The Eye answers at %s (interface: %s/docs)\n", base, base)
	if first.AdminKeyMade {
		fmt.Fprintf(out, "\nadmin key   %s\n            also in %s; it is the only secret on disk\n", first.AdminKey, filepath.Join(data, "admin.key"))
	}
	if first.WriteKey == "" {
		return
	}
	fmt.Fprintf(out, `
application %s
write key   %s
read key    %s
            these two are shown this once; eye keys makes others

Send an event, and see it:

  curl -s '%s/v1/events?wait=stored' -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \
    -d '{"session_id":"s1","category":"page interaction","name":"pageview","data":{"host":"www.example.com","path":"/"},"timestamp":"2026-01-01 09:15:27.243860"}'
  curl -s %s/v1/sessions/s1 -H 'Authorization: Bearer %s'

`, registry.DefaultApp, first.WriteKey, first.ReadKey, base, first.WriteKey, base, first.ReadKey)
}

// newLogger logs as text to a terminal, and as JSON to anything else.
func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}
