package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"theeye/internal/client"
	"theeye/internal/config"
	"theeye/internal/httpapi/admin"
	"theeye/internal/node"
	"theeye/internal/plural"
)

func newRescueCommand(f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rescue FILE", Short: "Recover lost events from a file in the queue's quarantine", Args: args(cobra.ExactArgs(1)),
		Long: "Recover lost events from a file in queue/quarantine, given by its name or path.\n" +
			"Every frame with a valid checksum is read, and events that are missing are taken in again. A running server does this;\n" +
			"without one, this command does. It can be repeated safely.",
	}
	cmd.RunE = func(cmd *cobra.Command, list []string) error { return f.rescue(cmd, list[0]) }
	return cmd
}

func (f *clientFlags) rescue(cmd *cobra.Command, file string) error {
	ctx := cmd.Context()
	tell := func(body []byte) error {
		var a admin.RescueAnswer
		if err := client.Decode(client.RescuePath, body, &a); err != nil {
			return err
		}
		return f.printf("%s: %s, %s\n"+
			"already there: %d; sent: %d (%d stored, %d rejected, %s); not sent: %d erased, %d expired",
			a.File, plural.Count(a.Frames, "frame"), plural.Count(a.Damaged, "damaged place"),
			a.There, a.Sent, a.Stored, a.Rejected, plural.Count(a.Duplicate, "duplicate"), a.Erased, a.Expired)
	}
	data := f.value("data", "EYE_DATA")
	name := filepath.Base(file)
	if base, _ := f.named(); base == "" {
		inside := filepath.Join(data, "queue", "quarantine", name)
		if file != name && !sameFile(file, inside) {
			return usagef("%s is not in %s; copy it there first", file, filepath.Dir(inside))
		}
		// Taking the lock would create the directory.
		if err := checkThere(filepath.Join(data, "queue"), fmt.Sprintf("there is no queue in %s; give the data directory of a server with --data", data)); err != nil {
			return err
		}
		unlock, err := node.Lock(data)
		if err == nil {
			unlock()
			return f.rescueLocally(ctx, data, name, tell)
		}
	}
	body, err := json.Marshal(admin.RescueRequest{File: name})
	if err != nil {
		return err
	}
	return f.show(ctx, client.Request{Method: http.MethodPost, Path: client.RescuePath, Body: body, Patient: true}, tell)
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// rescueLocally opens the data directory as a server does, without serving.
func (f *clientFlags) rescueLocally(ctx context.Context, data, file string, tell func([]byte) error) error {
	settings := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.AddFlags(settings)
	if err := settings.Set("data", data); err != nil {
		return err
	}
	cfg, err := config.Load(settings, os.Environ())
	if err != nil {
		return usagef("%s", err)
	}
	cfg.Listen, cfg.MetricsListen, cfg.TLSCert, cfg.TLSKey, cfg.LegacyApp = "", "", "", "", ""
	log := newLogger(f.err, slog.LevelWarn, f.where())
	for _, line := range config.UnknownVariables(os.Environ()) {
		log.Warn(line)
	}
	s, err := node.Open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer s.Close()
	var answer admin.RescueAnswer
	if err := s.RunOffline(ctx, func(ctx context.Context) (err error) {
		answer, err = s.Rescue(ctx, file)
		return err
	}); err != nil {
		return err
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	if f.json {
		return printDocument(f, body)
	}
	return tell(body)
}
