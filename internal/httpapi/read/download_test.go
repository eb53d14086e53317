package read_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"theeye/internal/event"
	"theeye/internal/httpapi/apitest"
	"theeye/internal/query"
	"theeye/internal/store"
)

func startScripted(t *testing.T, export func(context.Context, func(*event.Event) error) error) *apitest.API {
	t.Helper()
	return apitest.Start(t, func(o *apitest.Parts) {
		o.Reader = &apitest.Exporter{Reader: o.Reader, Do: export}
		o.StallDeadline = 100 * time.Millisecond
	})
}

func TestExportThatFails(t *testing.T) {
	fail := 0
	a := startScripted(t, func(_ context.Context, each func(*event.Event) error) error {
		if err := apitest.Each(fail, each); err != nil {
			return err
		}
		return store.ErrUnavailable
	})
	for _, encoding := range []string{"identity", "gzip", "zstd"} {
		for _, format := range []string{"ndjson", "csv"} {
			fail = 0
			answer := a.Get("", "/v1/export?format="+format, "Accept-Encoding", encoding)
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Content-Disposition") != "" ||
				answer.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("before the first byte: %d %v %s, %v", answer.StatusCode, answer.Header, body, err)
			}
			fail = 1000
			answer = a.Get("", "/v1/export?format="+format, "Accept-Encoding", encoding)
			if answer.StatusCode != http.StatusOK {
				t.Errorf("status %d", answer.StatusCode)
			}
			if _, err := io.ReadAll(answer.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s in %s was taken for whole: %v", format, encoding, err)
			}
		}
	}
}

func TestParquetThatFails(t *testing.T) {
	a := apitest.Start(t, func(o *apitest.Parts) {
		o.Parquet = func(context.Context, query.Query) (*os.File, error) { return nil, store.ErrUnavailable }
	})
	if answer := a.Get("", "/v1/export?format=parquet"); answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
	none := apitest.Start(t, func(o *apitest.Parts) { o.Parquet = nil })
	if answer := none.Get("", "/v1/export?format=parquet"); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("a store that writes none: %d", answer.StatusCode)
	}
}

// An export may take longer than the time in which a request must arrive, and ends when its caller
// goes away.
func TestExportLastsAsLongAsItsCaller(t *testing.T) {
	ended := make(chan error, 1)
	a := startScripted(t, func(ctx context.Context, each func(*event.Event) error) error {
		err := apitest.Each(100, each)
		long := time.NewTimer(3 * apitest.ReadTimeout)
		defer long.Stop()
		select {
		case <-ctx.Done():
			ended <- errors.New("it was ended")
			return ctx.Err()
		case <-long.C:
		}
		ended <- nil
		<-ctx.Done()
		ended <- nil
		return err
	})
	answer := a.Get("", "/v1/export")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	_ = answer.Body.Close()
	<-ended
}

func TestCallerWhoTakesNothingIsCutOff(t *testing.T) {
	ended := make(chan error, 1)
	a := startScripted(t, func(_ context.Context, each func(*event.Event) error) error {
		err := apitest.Each(100_000, each)
		ended <- err
		return err
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /v1/export HTTP/1.1\r\nHost: eye\r\nAuthorization: Bearer %s\r\n\r\n", a.Keys[""]); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
}

func TestFewExportsWait(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	a := startScripted(t, func(context.Context, func(*event.Event) error) error {
		begun <- struct{}{}
		<-finish
		return nil
	})
	const most = 5 // one that runs and four that wait
	statuses := make(chan int)
	for range most + 3 {
		go func() { statuses <- a.Get("", "/v1/export").StatusCode }()
	}
	<-begun
	for range 3 { // all except the waiting ones are refused while one runs
		if got := <-statuses; got != http.StatusServiceUnavailable {
			t.Errorf("status %d", got)
		}
	}
	for i := range most {
		finish <- struct{}{}
		if got := <-statuses; got != http.StatusOK {
			t.Errorf("status %d", got)
		}
		if i < most-1 {
			<-begun
		}
	}
}
