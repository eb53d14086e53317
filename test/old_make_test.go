package test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"
)

// oldKeys are the secrets of a fixture. They lie beside its data in the archive.
type oldKeys struct {
	Admin    string `json:"admin"`
	Shop     string `json:"shop"`     // write key of shop
	Page     string `json:"page"`     // write key of shop, used from page alone
	Read     string `json:"read"`     // read key of shop
	Everyone string `json:"everyone"` // read key of all applications
	Blog     string `json:"blog"`     // write key of blog
	Revoked  string `json:"revoked"`  // write key of shop
}

// oldMaker fills a server with one of each thing that a data directory may hold.
type oldMaker struct {
	*server
	keys    oldKeys
	blog    string // write key
	replays []string
}

const (
	oldType  = "/v1/types/form%20interaction/submit"
	oldPaths = "/one /two /three"
)

// makeOld writes a fixture into dir: golden.json with what the server answered, and
// the archives killed, ended and backup of that moment. In the archive erasing the
// server was then killed in the middle of an erasure of what came in between. program
// is built with the tag eyefault; "" is the present one.
func makeOld(t *testing.T, dir, program string) {
	t.Helper()
	if program == "" {
		program = binary(t, "eyefault")
	}
	work := t.TempDir()
	m := &oldMaker{server: &server{t: t, program: program, data: filepath.Join(work, "data"), args: []string{"--flush-rows", "1000"}}}
	m.launch()
	m.makeKeys()
	m.firstSegment()
	m.shutDown()
	m.launch()
	m.send(m.write, oldEvent("alone", "visitor-1", 30))
	m.shutDown()
	m.launch()
	m.secondSegment()
	m.shutDown()
	m.launch()
	m.backlog()

	writeGolden(t, filepath.Join(dir, "golden.json"), m.answers(oldQuestions(m.replays)))
	backup := filepath.Join(work, "backup")
	if code, out := runProgram(t, m.program, nil, "backup", backup, "--data", m.data); code != 0 {
		t.Fatalf("backup ended with %d: %s", code, out)
	}
	m.kill()
	m.pack(filepath.Join(dir, "killed.tar.zst"), m.data)
	m.pack(filepath.Join(dir, "backup.tar.zst"), backup)
	m.launch()
	m.shutDown()
	m.pack(filepath.Join(dir, "ended.tar.zst"), m.data)

	m.env = []string{"EYE_FAULT_KILL=tombstone written:1"}
	m.launch()
	for n := range betweenEvents {
		m.send(m.write, about(between, "2021-01-01T00:00:00Z", n))
	}
	if a, err := m.try("DELETE", "/v1/sessions/"+between, m.admin, nil); err == nil {
		t.Fatalf("the server was not killed: %s", a.body)
	}
	<-m.exited
	m.pack(filepath.Join(dir, "erasing.tar.zst"), m.data)
}

// between is the session that was being erased.
const (
	between       = "john-77ab"
	betweenEvents = 3
)

func (m *oldMaker) makeKeys() {
	m.t.Helper()
	m.prepare()
	m.must(m.call("POST", "/v1/apps", m.admin, `{"app":"blog"}`), 201)
	m.must(m.call("PATCH", "/v1/apps/blog", m.admin, `{"time_zone":"America/New_York"}`), 200)
	revoked := m.call("POST", "/v1/apps/shop/keys", m.admin, `{"kind":"write"}`)
	everyone := m.call("POST", "/v1/keys", m.admin, `{"kind":"read"}`)
	m.blog = m.key("blog", "write")
	m.keys = oldKeys{
		Admin: m.admin, Shop: m.write, Read: m.read, Blog: m.blog, Everyone: everyone.text("key"), Revoked: revoked.text("key"),
		Page: m.keyWith("write", map[string]any{"origins": []string{page}}).text("key"),
	}
	m.must(m.call("DELETE", "/v1/apps/shop/keys/"+revoked.text("key_id"), m.admin, ""), 204)
}

// oldEvent is an event whose id is a text.
func oldEvent(id, session string, n int) string {
	return fmt.Sprintf(`{"id":%q,"session_id":%q,"category":"page interaction","name":"pageview","data":{"path":%q,"n":%d.50,"z":"é"},"timestamp":"2021-01-0%d 09:15:27.%06d","seq":%d,"sender":"web"}`,
		id, session, strings.Fields(oldPaths)[n%3], n, 1+n%5, n, n)
}

func (m *oldMaker) send(key string, events ...string) {
	m.t.Helper()
	m.must(m.call("POST", "/v1/events?wait=stored", key, "["+strings.Join(events, ",")+"]"), 201)
}

func (m *oldMaker) firstSegment() {
	m.t.Helper()
	m.putType(strict)
	for n := range 12 {
		m.send(m.write, oldEvent(fmt.Sprintf("order-%d", n), fmt.Sprintf("visitor-%d", n%3), n), about(mary, "2021-01-01T00:00:00Z", n))
	}
	m.send(m.write, submit(1, "forms", "Doe"), submit(2, "forms", ""), submit(3, "forms", ""))
	m.send(m.blog, oldEvent("order-1", "visitor-1", 50), oldEvent("article-1", "visitor-1", 51))
	m.must(m.call("POST", "/v1/events?wait=stored", m.keys.Page, oldEvent("page-1", "visitor-2", 60), "Origin", page), 201)
	m.must(m.call("POST", "/v1/events?wait=stored", m.write, fine, "Idempotency-Key", "once"), 201)
	m.send(m.write, oldEvent("order-1", "visitor-1", 1))                       // a duplicate
	m.send(m.write, oldEvent("order-1", "visitor-1", 2))                       // a conflict
	m.send(m.write, `{"session_id":"`+mary+`","category":"c"}`, `"no object"`) // rejected
	m.send(m.write, `{"session_id":"visitor-1","category":"c","name":"n","data":{"x":"`+strings.Repeat("long ", 60_000)+`"},"timestamp":1609492527}`)
	m.send(m.write, "{\"session_id\":\"visitor-1\",\"category\":\"caf\xe9\",\"name\":\"n\",\"data\":{},\"timestamp\":1609492527}")
	m.must(m.call("POST", "/v1/events", m.write, "no JSON"), 400)
}

func (m *oldMaker) secondSegment() {
	m.t.Helper()
	for n := 12; n < 20; n++ {
		m.send(m.write, oldEvent(fmt.Sprintf("order-%d", n), fmt.Sprintf("visitor-%d", n%3), n), about(mary, "2021-01-01T00:00:00Z", n))
	}
	m.must(m.call("DELETE", "/v1/sessions/"+mary, m.admin, ""), 200)
	m.putType(loose)
	m.replays = append(m.replays, m.replay(`{"filter":{"code":"schema_violation","event_id":["`+formID(2)+`"]}}`).ReplayID)
	m.send(m.write, submit(4, "forms", ""))
}

// backlog leaves frames in the queue that no segment holds.
func (m *oldMaker) backlog() {
	m.t.Helper()
	for n := 20; n < 26; n++ {
		m.send(m.write, oldEvent(fmt.Sprintf("order-%d", n), fmt.Sprintf("visitor-%d", n%3), n))
	}
	m.send(m.write, about(mary, "2021-01-01T00:00:00Z", 3)) // it was erased
	m.send(m.write, about(mary, time.Now().UTC().Format(time.RFC3339), 100), `{"session_id":"visitor-1"}`)
	m.send(m.write, oldEvent("order-5", "visitor-2", 5)) // a duplicate
	m.replays = append(m.replays, m.replay(`{"filter":{"code":"missing_field"},"patch":[{"op":"add","path":"/name","value":"n"},{"op":"add","path":"/category","value":"c"},`+
		`{"op":"add","path":"/data","value":{}},{"op":"add","path":"/timestamp","value":"2021-01-05T00:00:00Z"}]}`).ReplayID)
}

// pack writes a folder and the keys into an archive. Locks are left out: they name
// the machine, and nobody holds them.
func (m *oldMaker) pack(name, folder string) {
	m.t.Helper()
	var buf bytes.Buffer
	z, err := zstd.NewWriter(&buf, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20))
	if err != nil {
		m.t.Fatal(err)
	}
	w := tar.NewWriter(z)
	keys, err := json.Marshal(m.keys)
	if err != nil {
		m.t.Fatal(err)
	}
	entry := func(name string, mode os.FileMode, content []byte) {
		h := &tar.Header{Name: name, Mode: int64(mode.Perm()), Size: int64(len(content)), Typeflag: tar.TypeReg}
		if mode.IsDir() {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			m.t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			m.t.Fatal(err)
		}
	}
	entry("keys.json", 0o600, keys)
	if err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || strings.HasSuffix(d.Name(), "lock") || d.Type()&os.ModeSocket != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.IsDir() && !info.Mode().IsRegular() { // the server's socket
			return nil
		}
		rest, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		var content []byte
		if !info.IsDir() {
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		entry(filepath.Join("data", rest), info.Mode(), content)
		return nil
	}); err != nil {
		m.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		m.t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(name, buf.Bytes(), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// unpack makes a folder of an archive and returns it with its keys.
func unpack(t *testing.T, name string) (folder string, keys oldKeys) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	dir := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, os.FileMode(h.Mode))
		} else {
			var content []byte
			if content, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, content, os.FileMode(h.Mode))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &keys); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data"), keys
}

func writeGolden(t *testing.T, name string, answers map[string]any) {
	t.Helper()
	b, err := json.Marshal(answers, json.Deterministic(true), jsontext.WithIndent(" "))
	if err == nil {
		err = os.WriteFile(name, append(b, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
