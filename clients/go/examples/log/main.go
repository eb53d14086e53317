// A program whose log records are events, which a spool keeps until they are sent.
//
//	EYE_URL=http://127.0.0.1:8080 EYE_KEY=eye_w_… go run ./examples/log
package main

import (
	"context"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	theeye "theeye/clients/go"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	client, err := theeye.New(theeye.Options{
		URL: os.Getenv("EYE_URL"), Key: os.Getenv("EYE_KEY"),
		Spool:   filepath.Join(os.TempDir(), "theeye-example"),
		OnError: func(err *theeye.Error) { log.Print(err) },
	})
	if err != nil {
		return err
	}
	logger := slog.New(theeye.NewLogHandler(client, theeye.LogOptions{}))
	logger.Info("order paid", "order", 17, slog.Group("customer", "country", "NL"))
	logger.Warn("stock is low", "article", "A-3")

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return client.Close(ctx)
}
