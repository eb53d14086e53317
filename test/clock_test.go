package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// setClock moves the clock of a server that was built to fail.
func setClock(t *testing.T, file string, by time.Duration) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(by.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// The system's clock jumps under load, an hour back, a day and 70 years ahead, and the
// server starts with it. Nothing expires, nothing is lost and the books balance,
// until the clock is accepted.
func TestClockThatJumpsExpiresNothing(t *testing.T) {
	t.Parallel()
	const jump = 70 * 365 * 24 * time.Hour
	file := filepath.Join(t.TempDir(), "off")
	setClock(t, file, 0)
	// The ledger's events, of 2021, expire an hour or two from now.
	kept := time.Since(time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)).Truncate(time.Hour) + 2*time.Hour
	s := &server{t: t, tags: "eyefault", data: t.TempDir(), env: []string{"EYE_FAULT_CLOCK=" + file},
		args: []string{"--flush-rows", "2000", "--retain", fmt.Sprintf("%.0fh", kept.Hours())}}
	s.launch()
	s.prepare()
	l := &ledger{entries: map[uuid.UUID]*entry{}}
	seed := rand.Uint64()
	load := func(until int64, meanwhile func()) {
		t.Helper()
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.round(s, seed+uint64(until), until, make([][]batch, crashSenders))
		}()
		meanwhile()
		<-done
	}
	held := func() (reason string, ready bool) {
		t.Helper()
		a := s.call("GET", "/readyz", "", "")
		reason, _ = strings.CutPrefix(fmt.Sprint(a.json()["reasons"]), "[retention: nothing expires: ")
		return reason, a.status == 200
	}
	wantHeld := func() {
		t.Helper()
		if reason, ready := held(); !ready || !strings.Contains(reason, " days ahead of ") {
			t.Errorf("ready %v, and the reason is %q", ready, reason)
		}
	}
	// A host that boots in that year, with a directory of before there was a clock.
	load(10_000, func() {})
	s.shutDown()
	if err := os.Remove(filepath.Join(s.data, "clock")); err != nil {
		t.Fatal(err)
	}
	setClock(t, file, jump)
	s.launch()
	wantHeld()
	setClock(t, file, 0)
	load(40_000, func() {
		for i, by := range []time.Duration{-time.Hour, 24 * time.Hour, jump} {
			s.eventually("some load", func() bool { return l.acked.Load() > int64(i)*8_000+12_000 })
			setClock(t, file, by)
		}
	})
	wantHeld()
	if a := s.call("GET", "/metrics", s.admin, ""); !strings.Contains(string(a.body), "\neye_retention_held 1\n") {
		t.Error("no metric tells that nothing expires")
	}
	s.kill()
	s.launch()
	load(55_000, wantHeld)
	s.eventually("a merge, which comes behind a look for what has expired", func() bool {
		a := s.call("GET", "/metrics", s.admin, "")
		return !strings.Contains(string(a.body), "\neye_store_merge_seconds_count 0\n")
	})
	l.find(s)
	l.check(s, 1)
	if b := s.account(); fmt.Sprint(b["expired"]) != "0" {
		t.Errorf("the books say %v", b)
	}

	code, out := runEye(t, nil, "health", "--data", s.data)
	if code != 0 || !strings.HasPrefix(out, "ready\n  retention: nothing expires: ") {
		t.Errorf("health ended with %d: %s", code, out)
	}
	code, out = runEye(t, nil, "store", "accept-clock", "--data", s.data)
	if code != 0 || !strings.HasPrefix(out, "the retention clock is now 20") {
		t.Errorf("store accept-clock ended with %d: %s", code, out)
	}
	s.eventually("what is in segments to expire", func() bool {
		b := s.account()
		return b["stored"].(float64) < 6000 && b["expired"].(float64) > 40_000 && b["balanced"] == true
	})
	if reason, ready := held(); !ready || reason != "[]" {
		t.Errorf("ready %v, and the reason is %q", ready, reason)
	}
	if a := s.call("GET", "/v1/audit?act=acceptClock", s.admin, ""); !strings.Contains(string(a.body), `"outcome":"done"`) || !strings.Contains(string(a.body), `"before":"20`) {
		t.Errorf("the audit log says %s", a.body)
	}
	for key, want := range map[string]int{s.write: 403, s.read: 403, "": 401} {
		s.must(s.call("POST", "/v1/store/accept-clock", key, ""), want)
	}
}
