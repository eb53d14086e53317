package node_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/pflag"

	"theeye/internal/client"
	"theeye/internal/config"
	"theeye/internal/node"
)

// settings returns the settings of a server with a data directory, on a free port.
func settings(t *testing.T, data string) config.Config {
	t.Helper()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.AddFlags(flags)
	if err := flags.Parse([]string{"--data", data, "--listen", "127.0.0.1:0", "--print-keys", "--store-memory", "128MiB"}); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(flags, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// started opens a node and runs it. end shuts it down and closes it.
func started(t *testing.T, data string) (n *node.Node, address string, end func()) {
	t.Helper()
	return startedWith(t, settings(t, data))
}

// startedWith is started for settings.
func startedWith(t *testing.T, cfg config.Config) (n *node.Node, address string, end func()) {
	t.Helper()
	n, err := node.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- n.Run(ctx, func(address string) error { ready <- address; return nil })
	}()
	select {
	case address = <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	return n, address, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		n.Close()
	}
}

// A node in this process accepts an event, and still has it after a restart.
func TestNodeInProcess(t *testing.T) {
	data := t.TempDir()
	n, address, end := started(t, data)
	keys := n.FirstStart()
	writer, err := client.New(address, keys.WriteKey)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"id":"one","session_id":"s1","category":"c","name":"n","data":{"path":"/"},"timestamp":"2026-01-01T00:00:00Z"}`)
	if _, err := writer.Do(t.Context(), client.Request{Method: http.MethodPost, Path: client.EventsPath, Body: body}); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Open(t.Context(), settings(t, data), slog.New(slog.DiscardHandler)); err == nil {
		t.Fatal("a second node has opened the data directory")
	}
	if err := n.FirstKeysShown(t.Context()); err != nil {
		t.Fatal(err)
	}
	end()

	_, address, end = started(t, data)
	defer end()
	reader, err := client.New(address, keys.ReadKey)
	if err != nil {
		t.Fatal(err)
	}
	var page struct {
		Events []struct {
			ClientID string `json:"client_id"`
		} `json:"events"`
	}
	deadline := time.Now().Add(time.Minute)
	for {
		answer, err := reader.Do(t.Context(), client.Request{Method: http.MethodGet, Path: client.EventsPath})
		if err == nil {
			if err := json.Unmarshal(answer, &page); err != nil {
				t.Fatal(err)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if len(page.Events) != 1 || page.Events[0].ClientID != "one" {
		t.Errorf("stored: %+v", page.Events)
	}
}
