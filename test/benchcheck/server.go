package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"
)

// The work of one pair.
const (
	intakeBatches = 1600
	batchEvents   = 500
	intakeSingles = 12_000
	connections   = 16
	sessionReads  = 200
	listReads     = 50
	seriesReads   = 10
	fillBatch     = 5000
	sessionEvents = 20
	daySeconds    = 24 * 60 * 60
	startTimeout  = 2 * time.Minute
	eraseTimeout  = 5 * time.Minute // after which erasing ends with what there is
)

// server is a running `eye serve`.
type server struct {
	program, dir, url string
	admin, write      string
	sessions          int // of what it was filled with
	cmd               *exec.Cmd
	client            *http.Client
}

// open starts a server on a directory and makes what is needed to send.
func open(ctx context.Context, program, dir string) (*server, error) {
	s := &server{program: program, dir: dir, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}}
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:forbidigo // it goes with the run
		return nil, err
	}
	log, err := os.OpenFile(dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	_ = os.Remove(filepath.Join(dir, "address"))
	s.cmd = exec.CommandContext(ctx, program, "serve", "--data", dir, "--listen", "127.0.0.1:0") //nolint:gosec // the programs to compare
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	if err := s.prepare(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("%w; the log is %s.log", err, dir)
	}
	return s, nil
}

func (s *server) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := until(ctx, func() bool {
		address, err := os.ReadFile(filepath.Join(s.dir, "address"))
		s.url = "http://" + strings.TrimSpace(string(address))
		if err != nil {
			return false
		}
		key, err := os.ReadFile(filepath.Join(s.dir, "admin.key"))
		s.admin = strings.TrimSpace(string(key))
		if err != nil {
			return false
		}
		_, err = s.ask(ctx, "GET /readyz", "", nil)
		return err == nil
	}); err != nil {
		return fmt.Errorf("wait for the server: %w", err)
	}
	_, _ = s.ask(ctx, "POST /v1/apps", s.admin, []byte(`{"app":"shop"}`)) // it may exist
	b, err := s.ask(ctx, "POST /v1/apps/shop/keys", s.admin, []byte(`{"kind":"write"}`))
	if err != nil {
		return err
	}
	var key struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal(b, &key); err != nil {
		return fmt.Errorf("read a key: %w", err)
	}
	s.write = key.Key
	return nil
}

// close shuts the server down cleanly.
func (s *server) close() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// until polls until a condition holds.
func until(ctx context.Context, holds func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// ask sends a request, as "GET /path", and returns the body of an answer of success.
func (s *server) ask(ctx context.Context, request, key string, body []byte) ([]byte, error) {
	method, path, _ := strings.Cut(request, " ")
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if bytes.HasPrefix(body, []byte("{\"id\"")) {
		req.Header.Set("Content-Type", "application/x-ndjson")
	}
	a, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s: %d %s", method, path, a.StatusCode, b)
	}
	return b, err
}

// events writes the events from to to−1 as NDJSON: sessions of 20 pageviews, spread
// over a day.
func events(kind string, from, to int) []byte {
	var b bytes.Buffer
	for n := from; n < to; n++ {
		second := (n * 7919) % daySeconds // 7919 is prime: neighbours lie apart
		fmt.Fprintf(&b, `{"id":"%s-%d","session_id":"session-%d","category":"page interaction","name":"%s","data":{"host":"www.example.com","path":"/products/%d","n":%d},"timestamp":"2021-01-01T%02d:%02d:%02d.%06dZ"}`+"\n",
			kind, n, n/sessionEvents, []string{"pageview", "click", "submit"}[n%3], n%500, n, second/3600, second/60%60, second%60, n%1_000_000)
	}
	return b.Bytes()
}

// send sends bodies over all connections.
func (s *server) send(ctx context.Context, bodies [][]byte) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(connections)
	for _, body := range bodies {
		g.Go(func() error {
			_, err := s.ask(ctx, "POST /v1/events?quiet=1", s.write, body)
			return err
		})
	}
	return g.Wait()
}

// stored waits until everything that was received has its fate.
func (s *server) stored(ctx context.Context) error {
	return until(ctx, func() bool {
		b, err := s.ask(ctx, "GET /v1/books", s.admin, nil)
		return err == nil && !bytes.Contains(bytes.ReplaceAll(b, []byte(`"pending":0`), nil), []byte(`"pending":`))
	})
}

// intakeWork names what is measured of an intake.
func intakeWork() []string {
	return []string{"batches of 500, until acknowledged", "batches of 500, until stored", "single events, until acknowledged", "processor time of the server for all that"}
}

// intake sends batches and single events, and ends the server.
func (s *server) intake(ctx context.Context, t *times, side int) error {
	defer s.close()
	work := intakeWork()
	batches, singles := make([][]byte, intakeBatches), make([][]byte, intakeSingles)
	for i := range batches {
		batches[i] = events("batch", i*batchEvents, (i+1)*batchEvents)
	}
	for i := range singles {
		singles[i] = events("single", i, i+1)
	}
	if err := t.take(work[1], side, func() error {
		if err := t.take(work[0], side, func() error { return s.send(ctx, batches) }); err != nil {
			return err
		}
		return s.stored(ctx)
	}); err != nil {
		return err
	}
	if err := t.take(work[2], side, func() error { return s.send(ctx, singles) }); err != nil {
		return err
	}
	s.close()
	t.add(work[3], side, s.cmd.ProcessState.UserTime()+s.cmd.ProcessState.SystemTime())
	return nil
}

// fill makes a directory that holds n events in merged segments.
func fill(ctx context.Context, program, dir string, n int) error {
	s, err := open(ctx, program, dir)
	if err != nil {
		return err
	}
	var bodies [][]byte
	for from := 0; from < n; from += fillBatch {
		bodies = append(bodies, events("fill", from, min(n, from+fillBatch)))
	}
	err = s.send(ctx, bodies)
	if err == nil {
		err = s.stored(ctx)
	}
	s.close()
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, program, "store", "compact", "--data", dir).CombinedOutput(); err != nil { //nolint:gosec // as above
		return fmt.Errorf("merge segments: %w: %s", err, out)
	}
	return nil
}

func questions() []string {
	return []string{"200 sessions", "50 lists of 100 events in an hour", "10 hourly series of a day"}
}

// ask asks both servers the same questions, each first every other time.
func ask(ctx context.Context, servers [2]*server, t *times, round int) error {
	for i, work := range []struct {
		n    int
		path func(n int) string
	}{
		{sessionReads, func(n int) string { // those of the first hundred may be erased
			return fmt.Sprintf("/v1/sessions/session-%d", 100+(round*sessionReads+n)*7%(servers[0].sessions-100))
		}},
		{listReads, func(n int) string {
			return fmt.Sprintf("/v1/events?category=page+interaction&name=click&order=desc&from=2021-01-01T%02d:00:00Z&to=2021-01-01T%02d:00:00Z", n%23, n%23+1)
		}},
		{seriesReads, func(n int) string {
			return fmt.Sprintf("/v1/series?interval=hour&group_by=name&from=2021-01-01T00:00:00Z&to=2021-01-02T00:00:00Z&where=data.n%%3E%%3D%d", n)
		}},
	} {
		var taken [2]time.Duration
		for n := range work.n {
			for k := range servers {
				side := (n + k) % 2
				began := time.Now()
				if _, err := servers[side].ask(ctx, "GET "+work.path(n), servers[side].admin, nil); err != nil {
					return err
				}
				taken[side] += time.Since(began)
			}
		}
		for side, d := range taken {
			t.add(questions()[i], side, d)
		}
	}
	return nil
}

func (s *server) erase(ctx context.Context, session string) error {
	_, err := s.ask(ctx, "DELETE /v1/sessions/"+session, s.admin, nil)
	return err
}

// eraseMany erases sessions that have no events, for at most five minutes.
func (s *server) eraseMany(ctx context.Context, n int) (erased int, err error) {
	ends := time.Now().Add(eraseTimeout)
	var mu sync.Mutex // guards erased
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(connections)
	for i := range n {
		g.Go(func() error {
			if time.Now().After(ends) {
				return nil
			}
			err := s.erase(ctx, fmt.Sprint("erased-", i))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				erased++
			}
			return err
		})
	}
	return erased, g.Wait()
}
