package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"theeye/internal/config"
	"theeye/internal/node"
	"theeye/internal/registry"
)

func newServeCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: "Run the server: intake, queue, store and queries in one process.\n" +
			"Each flag can also be given as an environment variable (EYE_DATA for --data)\n" +
			"or in a YAML file (--config).",
		Args: args(cobra.NoArgs),
	}
	config.AddFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags(), os.Environ())
		if err != nil {
			return usagef("%s", err)
		}
		return serve(cmd.Context(), cfg, s)
	}
	return cmd
}

func serve(ctx context.Context, cfg config.Config, s stdio) error {
	log := newLogger(s.err, cfg.LogLevel, dataFlag(cfg.Data))
	for _, line := range config.UnknownVariables(os.Environ()) {
		log.Warn(line)
	}
	setLastWords(ctx, func() { log.Warn("stopped at once by a second signal; everything acknowledged is on disk") })
	// A log is read by more people than those who may have keys.
	cfg.PrintKeys = cfg.PrintKeys || isTerminal(s.out)
	srv, err := node.Open(ctx, cfg, log)
	if err != nil {
		return withAdvice(err, dataFlag(cfg.Data))
	}
	defer srv.Close()
	made := greeting{first: srv.FirstStart()}
	if made.first.WriteKey != "" {
		if made.path, err = srv.SignInLink(ctx); err != nil {
			log.Warn("there is no link that signs in to the web page; `eye open` creates one", "error", err)
		}
	}
	return srv.Run(ctx, func(address string) error {
		base := baseURL(address, cfg.TLSCert != "")
		log.Info("ready", "address", address, "data", cfg.Data)
		if err := greet(s.out, base, cfg, made); err != nil {
			log.Warn("the first start's keys could not be printed; the next start creates new ones", "error", err)
		} else if err := srv.FirstKeysShown(context.WithoutCancel(ctx)); err != nil {
			log.Warn("the printed keys are valid only until the next start, which creates others", "error", err)
		}
		return nil
	})
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

// greeting is what a first start created.
type greeting struct {
	first registry.FirstStart
	path  string // of a link that signs in to the web page, below the server's address; empty for none
}

// greet prints where the server is and, after a first start, the secrets that it created, or how to
// create them. Secrets go to standard output, never to the log. It returns when they are written.
func greet(to io.Writer, base string, cfg config.Config, made greeting) error {
	first := made.first
	var out strings.Builder
	fmt.Fprintf(&out, "The Eye is running at %s (API: %s/docs)\n", base, base)
	if first.AdminKeyMade {
		fmt.Fprint(&out, "\n"+adminKeyText(first.AdminKey, cfg.Data, cfg.PrintKeys))
	}
	if first.Made && first.WriteKey == "" {
		fmt.Fprintf(&out, `
application %s
            it has no keys yet, because standard output is not a terminal; create them with

  eye keys create --data %[2]s --app %[1]s --kind write
  eye keys create --data %[2]s --app %[1]s --kind read

            sign in to the web page with

  eye open --data %[2]s

`, registry.DefaultApp, shellWord(cfg.Data))
	}
	if first.WriteKey != "" {
		fmt.Fprintf(&out, `
application %s
write key   %s
read key    %s
            these two are shown only once; eye keys create creates others

Send an event, and see it:

  curl -s '%s/v1/events?wait=stored' -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \
    -d '{"session_id":"s1","category":"page interaction","name":"pageview","data":{"host":"www.example.com","path":"/"},"timestamp":"2026-01-01 09:15:27.243860"}'
  curl -s %s/v1/sessions/s1 -H 'Authorization: Bearer %s'

`, registry.DefaultApp, first.WriteKey, first.ReadKey, base, first.WriteKey, base, first.ReadKey)
	}
	if made.path != "" {
		fmt.Fprintf(&out, `Open the web page, signed in as the administrator. The link is valid for 10 minutes and works once; eye open creates another:

  %s

`, base+made.path)
	}
	_, err := io.WriteString(to, out.String())
	return err
}

// adminKeyText describes a new admin key: the key itself if it may be printed, or else the file
// that holds it.
func adminKeyText(key, data string, mayPrint bool) string {
	file := filepath.Join(data, "admin.key")
	if !mayPrint {
		return fmt.Sprintf("admin key   in %s; it is the only secret on disk\n", file)
	}
	return fmt.Sprintf("admin key   %s\n            also in %s; it is the only secret on disk\n", key, file)
}

// shellWord quotes a text for a shell if necessary. The result consists of graphic characters, so
// it is printed unescaped. Every POSIX shell accepts it, with one exception: a text that ends in a
// newline and also contains non-graphic characters needs the $'…' of bash and others.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("/._-+:@%", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	if utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) < 0 {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	inPrintf := !strings.HasSuffix(text, "\n") // command substitution takes newlines away from the end
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1, !unicode.IsGraphic(r), r == '-' && i == 0: // printf would take - for a flag
			for _, c := range []byte(text[i : i+size]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		case r == '\\':
			b.WriteString(`\\`)
		case r == '%' && inPrintf:
			b.WriteString("%%")
		case r == '\'' && inPrintf:
			b.WriteString(`'\''`)
		case r == '\'':
			b.WriteString(`\'`)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	if inPrintf {
		return `"$(printf '` + b.String() + `')"`
	}
	return "$'" + b.String() + "'"
}

// newLogger logs as text to a terminal, and as JSON to anything else. It adds flags to the commands
// that a message advises; see advise.
func newLogger(w io.Writer, level slog.Level, flags string) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.MessageKey {
			a.Value = slog.StringValue(advise(a.Value.String(), flags))
		}
		return a
	}}
	if isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}
