package test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const fine = `{"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2021-01-01 09:15:27.243860"}`

func TestTrailingCommaOfTheChallenge(t *testing.T) {
	t.Parallel()
	s := start(t)
	body := "{\"session_id\":\"s\",\"category\":\"page interaction\",\"name\":\"pageview\",\n\"data\":{\"host\":\"h\",\"path\": \"/\",},\"timestamp\":\"2021-01-01 09:15:27.243860\"}"
	a := s.call("POST", "/v1/events", s.write, body)
	s.must(a, 400)
	if a.header.Get("Content-Type") != "application/problem+json" || a.text("line") != "2" || a.text("column") != "31" {
		t.Errorf("%s: %s", a.header.Get("Content-Type"), a.body)
	}
	long := "{" + strings.Repeat(" ", 5000)
	s.must(s.call("POST", "/v1/events", s.write, long), 400)
	s.eventually("both to be kept as rejections", func() bool { return len(s.rejections("code=invalid_json")) == 2 })
	list := s.rejections("code=invalid_json")
	if list[1]["raw"] != body || list[0]["raw"] != long[:4096] {
		t.Errorf("kept were %q and %d bytes", list[1]["raw"], len(list[0]["raw"].(string)))
	}
	s.balanced(2)
}

// rejections lists rejections, newest first.
func (s *server) rejections(params string) []map[string]any {
	s.t.Helper()
	a := s.call("GET", "/v1/rejections?"+params, s.read, "")
	s.must(a, 200)
	var list []map[string]any
	for _, v := range a.json()["rejections"].([]any) {
		list = append(list, v.(map[string]any))
	}
	return list
}

// balanced checks that the books of shop balance at so many received.
func (s *server) balanced(received int) {
	s.t.Helper()
	a := s.call("GET", "/v1/books", s.read, "")
	s.must(a, 200)
	apps := a.json()["apps"].([]any)
	if len(apps) != 1 || a.json()["balanced"] != true || fmt.Sprint(apps[0].(map[string]any)["received"]) != fmt.Sprint(received) {
		s.t.Errorf("want %d received: %s", received, a.body)
	}
}

func TestOneBrokenLine(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.call("POST", "/v1/events?wait=stored", s.write, fine+"\n{\"session_id\":\n"+fine+"\n", "Content-Type", "application/x-ndjson")
	s.must(a, 201)
	if got := statuses(a); got != "accepted rejected:invalid_json accepted" {
		t.Error(got)
	}
}

// statuses sums an answer up, with the codes of the problems.
func statuses(a reply) string {
	var all []string
	events, _ := a.json()["events"].([]any)
	for _, e := range events {
		m := e.(map[string]any)
		text := fmt.Sprint(m["status"])
		problems, _ := m["problems"].([]any)
		for i, p := range problems {
			separator := ","
			if i == 0 {
				separator = ":"
			}
			text += separator + fmt.Sprint(p.(map[string]any)["code"])
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

// Each bad element stands between two good ones, which must not suffer.
func TestBadElements(t *testing.T) {
	t.Parallel()
	s := start(t)
	with := func(field, value string) string {
		fields := map[string]string{"session_id": `"s"`, "category": `"c"`, "name": `"n"`, "data": `{}`, "timestamp": `"2021-01-01 09:15:27.243860"`}
		if value == "" {
			delete(fields, field)
		} else {
			fields[field] = value
		}
		var parts []string
		for k, v := range fields {
			parts = append(parts, fmt.Sprintf("%q:%s", k, v))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	future := `"2190-01-01T00:00:00Z"`
	for _, c := range []struct{ name, element, want string }{
		{"duplicate keys", with("data", `{"a":1,"a":2}`), "duplicate_key"},
		{"invalid UTF-8", with("data", "{\"a\":\"\xff\"}"), "invalid_unicode"},
		{"lone surrogate", with("data", `{"a":"\udc00"}`), "invalid_unicode"},
		{"NUL", with("data", `{"a":"\u0000"}`), "nul_character"},
		{"depth 65", with("data", `{"a":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)+`}`), "data_too_deep"},
		{"depth 200,000", with("data", `{"a":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}`), "data_too_deep"},
		{"number 1e1000001", with("data", `{"a":1e1000001}`), "number_out_of_range"},
		{"session_id missing", with("session_id", ""), "missing_field"},
		{"session_id empty", with("session_id", `""`), "invalid_field"},
		{"session_id a number", with("session_id", `1`), "invalid_field"},
		{"session_id of 201 code points", with("session_id", `"`+strings.Repeat("é", 201)+`"`), "invalid_field"},
		{"category missing", with("category", ""), "missing_field"},
		{"data a list", with("data", `[]`), "invalid_field"},
		{"data absent", with("data", ""), "missing_field"},
		{"a string", `"x"`, "not_an_object"},
		{"unknown field", with("sesion_id", `"s"`), "invalid_field"},
		{"timestamp absent", with("timestamp", ""), "timestamp_missing"},
		{"timestamp null", with("timestamp", "null"), "timestamp_missing"},
		{"yesterday", with("timestamp", `"yesterday"`), "timestamp_unparsable"},
		{"30 February", with("timestamp", `"2021-02-30 10:00:00"`), "timestamp_unparsable"},
		{"timestamp a list", with("timestamp", `[1]`), "timestamp_unparsable"},
		{"year 10000 by offset", with("timestamp", `"9999-12-31T23:59:59-01:00"`), "timestamp_out_of_range"},
		{"in the future", with("timestamp", future), "timestamp_in_future"},
		{"too large", with("data", `{"a":"`+strings.Repeat("x", 256<<10)+`"}`), "event_too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.call("POST", "/v1/events?wait=stored", s.write, "["+fine+","+c.element+","+fine+"]")
			if a.status != 201 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if got, want := statuses(a), "accepted rejected:"+c.want+" accepted"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			events := a.json()["events"].([]any)
			id := events[1].(map[string]any)["id"]
			list := s.rejections("event_id=" + fmt.Sprint(id))
			if len(list) != 1 {
				t.Fatalf("%d rejections are kept", len(list))
			}
			if raw, has := list[0]["raw"]; has && raw != c.element {
				t.Errorf("the raw body was altered: %.100q", raw)
			} else if !has && c.name != "invalid UTF-8" {
				t.Error("raw is missing")
			}
			single := s.call("POST", "/v1/events", s.write, c.element)
			if single.status != 422 || statuses(single) != "rejected:"+c.want {
				t.Errorf("alone: %d %.300s", single.status, single.body)
			}
		})
	}
	a := s.call("POST", "/v1/events", s.write, with("sesion_id", `"s"`))
	if !strings.Contains(string(a.body), `session_id`) || !strings.Contains(string(a.body), "did you mean") {
		t.Errorf("the nearest field is not named: %s", a.body)
	}
	for _, ok := range []string{`"2021-01-01 09:15:27.243860"`, "1609492527", "1609492527243", "1609492527243860", "1609492527243860000"} {
		s.must(s.call("POST", "/v1/events", s.write, with("timestamp", ok)), 202)
	}
}

func TestThreeFaultsAgainstTheSchema(t *testing.T) {
	t.Parallel()
	s := start(t)
	schema := `{"type":"object","required":["host","path"],"properties":{"host":{"type":"string"},"n":{"type":"integer"}},"additionalProperties":true}`
	s.must(s.call("PUT", "/v1/types/page%20interaction/pageview", s.admin, schema), 200)
	a := s.call("POST", "/v1/events", s.write, `{"session_id":"s","category":"page interaction","name":"pageview","data":{"host":7,"n":"x"},"timestamp":1609492527}`)
	s.must(a, 422)
	var pointers []string
	for _, p := range a.json()["events"].([]any)[0].(map[string]any)["problems"].([]any) {
		pointers = append(pointers, p.(map[string]any)["code"].(string)+" "+p.(map[string]any)["pointer"].(string))
	}
	want := []string{"schema_violation /data/host", "schema_violation /data/n", "schema_violation /data/path"}
	if diff := cmp.Diff(want, pointers); diff != "" {
		t.Error(diff)
	}
}

func TestSameIDAgain(t *testing.T) {
	t.Parallel()
	body := func(extra, data string) string {
		return `{"id":"order-1","session_id":"s","category":"c","name":"n","data":` + data + `,"timestamp":"2021-01-01 09:15:27"` + extra + `}`
	}
	again := []string{body("", `{"a":1,"b":2}`), body(`,"sent_at":"2021-01-01T09:16:00Z"`, `{"a":1,"b":2}`), body("", `{"b":2, "a":1}`), body("", `{"a":1,"b":3}`)}
	const want = "accepted duplicate duplicate rejected:id_conflict"
	t.Run("in one request", func(t *testing.T) {
		s := start(t)
		for _, wait := range []string{"", "?wait=stored"} {
			a := s.call("POST", "/v1/events"+wait, s.write, "["+strings.Join(again, ",")+"]")
			if wait == "" && statuses(a) != want {
				t.Errorf("got %q, want %q", statuses(a), want)
			}
			if wait != "" && statuses(a) != "duplicate duplicate duplicate rejected:id_conflict" {
				t.Errorf("the second time: %q", statuses(a))
			}
		}
		s.balanced(8)
	})
	t.Run("in many requests", func(t *testing.T) {
		s := start(t)
		var got []string
		for _, body := range again {
			got = append(got, statuses(s.call("POST", "/v1/events?wait=stored", s.write, "["+body+"]")))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
		receipt := s.call("GET", "/v1/receipts/order-1", s.read, "")
		s.must(receipt, 200)
		var fates []string
		for _, a := range receipt.json()["arrivals"].([]any) {
			fates = append(fates, a.(map[string]any)["fate"].(string))
		}
		if diff := cmp.Diff([]string{"rejected", "duplicate", "duplicate", "stored"}, fates); diff != "" || receipt.text("status") != "stored" {
			t.Errorf("%s: %s", receipt.text("status"), diff)
		}
		s.balanced(4)
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []struct {
		name, method, path, key string
		want                    int
	}{
		{"no key on intake", "POST", "/v1/events", "", 401},
		{"unknown key on intake", "POST", "/v1/events", "eye_w_0000000000000000000000000000000000000000000_000000", 401},
		{"read key on intake", "POST", "/v1/events", s.read, 403},
		{"admin key on intake", "POST", "/v1/events", s.admin, 403},
		{"no key on reading", "GET", "/v1/events", "", 401},
		{"write key on reading", "GET", "/v1/events", s.write, 403},
		{"read key on administration", "GET", "/v1/apps", s.read, 403},
		{"another application", "GET", "/v1/events?app=default", s.read, 403},
		{"an application that is not there", "GET", "/v1/events?app=nonsense", s.read, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.call(c.method, c.path, c.key, fine)
			if a.status != c.want || strings.Contains(string(a.body), "shop") || strings.Contains(string(a.body), "default") {
				t.Errorf("%d, want %d: %s", a.status, c.want, a.body)
			}
		})
	}
	s.must(s.call("POST", "/v1/events?key="+s.write, "", fine), 202)
	s.must(s.call("GET", "/v1/events", "", "", "Authorization", "Basic "+basic(s.read)), 200)
}

func TestBodies(t *testing.T) {
	t.Parallel()
	s := start(t)
	bomb := &bytes.Buffer{}
	z := gzip.NewWriter(bomb)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 400<<20))
	_ = z.Close()
	var packed bytes.Buffer
	z = gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(fine))
	_ = z.Close()
	many := "[" + strings.Repeat("{},", 10_000) + "{}]"
	for _, c := range []struct {
		name, body string
		header     []string
		want       int
	}{
		{"over the limit", "[" + strings.Repeat(" ", 4<<20) + "]", nil, 413},
		{"gzip bomb", bomb.String(), []string{"Content-Encoding", "gzip"}, 413},
		{"fine gzip", packed.String(), []string{"Content-Encoding", "gzip"}, 202},
		{"gzip that is none", fine, []string{"Content-Encoding", "gzip"}, 400},
		{"unknown encoding", fine, []string{"Content-Encoding", "lzw"}, 415},
		{"unknown content type", fine, []string{"Content-Type", "image/png"}, 415},
		{"a form that is none", "a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{"JSON that curl -d calls a form", fine, []string{"Content-Type", "application/x-www-form-urlencoded"}, 202},
		{"10,001 events", many, nil, 413},
		{"empty batch", "[]", nil, 202},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.call("POST", "/v1/events", s.write, c.body, c.header...)
			if a.status != c.want {
				t.Errorf("%d, want %d: %.300s", a.status, c.want, a.body)
			}
		})
	}
	t.Run("wrong Content-Length", func(t *testing.T) {
		u, _ := url.Parse(s.url)
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: eye\r\nAuthorization: Bearer %s\r\nContent-Length: 500\r\n\r\n%s", s.write, fine)
		_ = conn.(*net.TCPConn).CloseWrite()
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil && err != io.EOF || !strings.Contains(line, " 408 ") {
			t.Errorf("%q, %v", line, err)
		}
	})
	rss := s.memory()
	if rss > 600<<20 {
		t.Errorf("the server takes %d MiB after a gzip bomb of 400 MiB", rss>>20)
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+fine+","+fine+"]"), 201)
	page := s.call("GET", "/v1/events?limit=1", s.read, "")
	cursor := page.text("next_cursor")
	s.must(s.call("GET", "/v1/events?limit=1&cursor="+cursor, s.read, ""), 200)
	for _, c := range []struct{ query, says string }{
		{"from=2021-01-02T00:00:00Z&to=2021-01-01T00:00:00Z", "from"},
		{"unknown=1", "session_id"},
		{"where=data.x%3F1", ">="},
		{"where=nonsense%3D1", "data"},
		{"limit=0", "1000"},
		{"limit=100000", "1000"},
		{"order=up", "asc"},
		{"cursor=forged", "cursor"},
		{"cursor=" + cursor[:len(cursor)-2] + "xx", "cursor"},
		{"cursor=" + cursor + "&category=other", "cursor"},
	} {
		a := s.call("GET", "/v1/events?"+c.query, s.read, "")
		if a.status != 400 || !strings.Contains(string(a.body), c.says) {
			t.Errorf("%s: %d %s", c.query, a.status, a.body)
		}
	}
}

func TestStartThatCannotBe(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := start(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		args  []string
		lines []string
	}{
		{"port in use", []string{"--data", t.TempDir(), "--listen", taken.Addr().String()}, []string{"--listen"}},
		{"data directory in use", []string{"--data", s.data, "--listen", "127.0.0.1:0"}, []string{fmt.Sprintf("process %d", s.cmd.Process.Pid)}},
		{"data directory not writable", []string{"--data", filepath.Join(file, "x"), "--listen", "127.0.0.1:0"}, []string{"--data"}},
		{"three faults", []string{"--data", t.TempDir(), "--max-event-bytes", "lots", "--future-tolerance", "-1s", "--tls-cert", "x.pem"}, []string{"max-event-bytes", "future-tolerance", "tls-key"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, output := runEye(t, nil, append([]string{"serve"}, c.args...)...)
			if code == 0 {
				t.Errorf("exit code 0: %s", output)
			}
			var lines []string
			for _, line := range strings.Split(strings.TrimSpace(output), "\n") {
				if !strings.HasPrefix(line, "{") { // the log
					lines = append(lines, line)
				}
			}
			if len(lines) != len(c.lines) {
				t.Fatalf("%d lines for %d faults:\n%s", len(lines), len(c.lines), output)
			}
			for i, want := range c.lines {
				if !strings.Contains(output, want) {
					t.Errorf("fault %d, %q, is not in:\n%s", i, want, output)
				}
			}
		})
	}
}

// What says of itself that it is JSON, by the ending of its media type, is read; a byte order mark
// before a body, a schema or a file is passed over.
func TestJSONByAnotherName(t *testing.T) {
	t.Parallel()
	s := start(t)
	const one = `{"session_id":"s","category":"c","name":"n","data":{"a":1},"timestamp":"2021-01-01T00:00:00Z"}`
	for _, kind := range []string{"application/vnd.api+json", "application/cloudevents+json; charset=utf-8", "Application/LD+JSON", "application/json"} {
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, "\ufeff"+one, "Content-Type", kind), 201)
	}
	for _, kind := range []string{"application/vnd.api+xml", "application/jsonx", "text/csv"} {
		s.must(s.call("POST", "/v1/events", s.write, one, "Content-Type", kind), 415)
	}
	s.must(s.call("PUT", "/v1/types/c/n", s.admin, "\ufeff"+`{"type":"object","required":["b"]}`), 200)
	s.must(s.call("POST", "/v1/apps", s.admin, "\ufeff"+`{"app":"blog"}`), 201)
	s.must(s.call("POST", "/v1/events", s.write, one), 422)
	file := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(file, []byte("\ufeff"+strings.ReplaceAll(one, `"a"`, `"b"`)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, out := s.eye("send", file, "--url", s.url, "--key", s.write)
	if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "1 accepted") {
		t.Errorf("eye send: %v, %s", err, out)
	}
}
