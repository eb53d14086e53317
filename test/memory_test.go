package test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

// What one answer may add to the resident set, in bytes. An export of rows that are
// not in segments yet takes more, because it begins with a copy of them.
const (
	memoryOf    = 64 << 20
	memoryOfHot = 160 << 20 // of an export
)

// largeText returns text that does not compress well.
func largeText(seed uint64, size int) string {
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	b := make([]byte, size/4*3)
	_, _ = random.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

// peak returns by how much the resident set grew, in bytes, while f ran.
func (s *server) peak(f func()) int64 {
	s.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte("5"), 0); err != nil {
		s.t.Fatal(err)
	}
	before := s.memory()
	f()
	return s.memoryLine("VmHWM:") - before
}

// discard reads an answer without keeping it.
func (s *server) discard(method, path, key, body string) (status int, size int64, cursor string) {
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return 0, 0, ""
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Error(err)
		return 0, 0, ""
	}
	defer resp.Body.Close()
	end := &tail{}
	size, err = io.Copy(end, resp.Body)
	if err != nil {
		s.t.Error(path, err)
	}
	if _, rest, ok := bytes.Cut(end.last, []byte(`"next_cursor":"`)); ok {
		text, _, _ := bytes.Cut(rest, []byte(`"`))
		cursor = string(text)
	}
	return resp.StatusCode, size, cursor
}

// tail keeps the end of what is written to it.
type tail struct{ last []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.last = append(t.last, b...)
	t.last = t.last[max(0, len(t.last)-4096):]
	return len(b), nil
}

// sendLarge sends 160 events of 250 KB, as many that are refused, and one id with
// many problems again and again.
func sendLarge(s *server) {
	s.t.Helper()
	old := s.key("old", "write")
	for i := 0; i < 160; i += 8 {
		var shop, first []string
		for n := i; n < i+8; n++ {
			text := largeText(uint64(n), 250_000)
			shop = append(shop, fmt.Sprintf(`{"session_id":"large","category":"c","name":"n","data":{"i":%d,"x":%q},"timestamp":"2021-01-01T00:00:00Z"}`, n, text),
				fmt.Sprintf(`{"session_id":"large","category":"c","name":"r","data":{"i":%d,"x":%q}}`, n, text))
			first = append(first, fmt.Sprintf(`{"session_id":"old","category":"o","name":"n","data":{"i":%d,"x":%q},"timestamp":"2021-01-01T00:00:00Z"}`, n, text))
		}
		s.must(s.call("POST", "/v1/events?wait=stored&quiet=1", s.write, "["+strings.Join(shop, ",")+"]"), 201)
		s.must(s.call("POST", "/v1/events?wait=stored&quiet=1", old, "["+strings.Join(first, ",")+"]"), 201)
	}
	for i := range 100 {
		var fields []string
		for n := range 48 {
			fields = append(fields, fmt.Sprintf(`"%02d%s":%d`, n, strings.Repeat("k", 2_000), i))
		}
		s.must(s.call("POST", "/v1/events?wait=stored&quiet=1", s.write, `[{"id":"again",`+strings.Join(fields, ",")+`}]`), 201)
	}
}

func TestAnswersTakeLittleMemory(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"hot": nil, "segments": {"--flush-age", "1s"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, append(args, "--legacy-app", "old")...)
			sendLarge(s)
			if args != nil {
				s.eventually("everything to be in segments", func() bool {
					text := string(s.call("GET", "/metrics", s.admin, "").body)
					return strings.Contains(text, `eye_store_rows{place="hot",table="events"} 0`) &&
						strings.Contains(text, `eye_store_rows{place="hot",table="rejections"} 0`)
				})
			}
			schema := `{"type":"object"}`
			for _, ask := range []struct{ name, method, path, key, body string }{
				{"events", "GET", "/v1/events?limit=1000", s.read, ""},
				{"session", "GET", "/v1/sessions/large?limit=1000", s.read, ""},
				{"sessions", "GET", "/v1/sessions?limit=1000", s.read, ""},
				{"rejections", "GET", "/v1/rejections?limit=1000&name=r", s.read, ""},
				{"problems", "GET", "/v1/rejections?limit=1000&code=invalid_field", s.read, ""},
				{"summary", "GET", "/v1/rejections/summary?limit=1000", s.read, ""},
				{"receipt", "GET", "/v1/receipts/again", s.read, ""},
				{"the list of --legacy-app", "GET", "/event/?filter=category,o", "", ""},
				{"try", "POST", "/v1/types/c/n/try", s.admin, schema},
				{"propose", "POST", "/v1/types/c/n/propose", s.admin, ""},
				{"dry run", "POST", "/v1/rejections/replay", s.admin, `{"filter":{"name":"r"},"dry_run":true}`},
				{"replays", "GET", "/v1/replays", s.admin, ""},
				{"ndjson", "GET", "/v1/export?format=ndjson", s.read, ""},
				{"csv", "GET", "/v1/export?format=csv", s.read, ""},
				{"parquet", "GET", "/v1/export?format=parquet", s.read, ""},
			} {
				s.discard(ask.method, ask.path, ask.key, ask.body)
				var status int
				var size int64
				most := int64(memoryOf)
				if args == nil && strings.HasPrefix(ask.path, "/v1/export") {
					most = memoryOfHot
				}
				grown := int64(math.MaxInt64)
				for i := 0; i < 5 && grown > most; i++ { // at times the server is merging segments
					grown = min(grown, s.peak(func() { status, size, _ = s.discard(ask.method, ask.path, ask.key, ask.body) }))
				}
				t.Logf("%s: %d, %.1f MB answered, %.1f MiB taken", ask.name, status, float64(size)/1e6, float64(grown)/(1<<20))
				if status >= 300 {
					t.Errorf("%s is answered %d", ask.name, status)
				}
				if grown > most {
					t.Errorf("%s took %d MiB", ask.name, grown>>20)
				}
			}
		})
	}
}

// Those who ask for long answers and do not take them hold memory up to the budget;
// then one is told to try again, and when they are gone it is answered.
func TestLongAnswersShareABudget(t *testing.T) {
	t.Parallel()
	const budget = 256 << 20
	s := start(t)
	other := s.key("shop", "read")
	for i := 0; i < 48; i += 8 {
		var events []string
		for n := i; n < i+8; n++ {
			events = append(events, fmt.Sprintf(`{"session_id":"large","category":"c","name":"n","data":{"x":%q},"timestamp":"2021-01-01T00:00:00Z"}`, largeText(uint64(n), 250_000)))
		}
		s.must(s.call("POST", "/v1/events?wait=stored&quiet=1", s.write, "["+strings.Join(events, ",")+"]"), 201)
	}
	s.discard("GET", "/v1/events", s.read, "")
	var held []net.Conn
	grown := s.peak(func() {
		for len(held) < 100 {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, conn)
			fmt.Fprintf(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", s.read)
			a, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
			if err != nil {
				t.Fatal(err)
			}
			if a.StatusCode == http.StatusServiceUnavailable {
				if a.Header.Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
				break
			}
		}
	})
	t.Logf("%d answers are held, %.1f MiB taken", len(held)-1, float64(grown)/(1<<20))
	if n := len(held) - 1; n < 8 || n >= 99 {
		t.Errorf("%d answers are held", n)
	}
	if grown > budget {
		t.Errorf("they take %d MiB", grown>>20)
	}
	if status, _, _ := s.discard("GET", "/v1/events", other, ""); status != 200 { // there is room for another key
		t.Errorf("another key is answered %d", status)
	}
	for _, conn := range held {
		_ = conn.Close()
	}
	s.eventually("the memory to be given back", func() bool {
		return strings.Contains(string(s.call("GET", "/metrics", s.admin, "").body), "\neye_http_read_memory_bytes 0\n")
	})
	if status, _, _ := s.discard("GET", "/v1/events", s.read, ""); status != 200 {
		t.Errorf("when they are gone, the answer is %d", status)
	}
}
