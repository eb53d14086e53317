// A web server that records page views in the session of the browser.
//
//	EYE_URL=http://127.0.0.1:8080 EYE_KEY=eye_w_… go run ./examples/http
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
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
		OnError: func(err *theeye.Error) { log.Print(err) },
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		err := client.Track(theeye.Event{
			SessionID: theeye.SessionID(r.Context()), Category: "page interaction", Name: "pageview",
			Data: map[string]any{"host": r.Host, "path": r.URL.Path},
		})
		if err != nil {
			log.Print(err)
		}
		_, _ = fmt.Fprintln(w, "hello")
	})
	server := &http.Server{
		Addr: cmp.Or(os.Getenv("ADDRESS"), "127.0.0.1:8081"), Handler: theeye.Sessions(mux, theeye.SessionOptions{}), ReadHeaderTimeout: 5 * time.Second,
	}

	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go func() {
		<-interrupted.Done()
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return client.Close(ctx)
}
