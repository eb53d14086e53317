package test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/envelope"
)

// A key with a restriction that this version does not know is refused and says so, also when it
// comes from metadata.json; a copy or a record of a newer version ends the start.
func TestKeysOfANewerVersion(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"read"}`)
	s.must(a, 201)
	id, secret := a.text("key_id"), a.text("key")
	s.shutDown()
	if err := os.RemoveAll(filepath.Dir(filepath.Dir(s.metadataBlock()))); err != nil {
		t.Fatal(err)
	}
	s.editMetadata(2, `"key_id":"`+id+`"`, `"key_id":"`+id+`","paths":["/v1/count"]`)
	s.launch()
	a = s.call("GET", "/v1/events", secret, "")
	s.must(a, 401)
	if !strings.Contains(a.text("detail"), "(paths)") {
		t.Errorf("answered with %s", a.body)
	}
	s.must(s.call("GET", "/v1/events", s.read, ""), 200)
	code, out := runEye(t, nil, "keys", "list", "--app", "shop", "--data", s.data)
	if code != 0 || !strings.Contains(out, "refused: restrictions of a newer version (paths)") {
		t.Errorf("eye keys list: %d\n%s", code, out)
	}
	if n := strings.Count(s.output.String(), "a key is refused"); n != 1 {
		t.Errorf("told %d times:\n%s", n, s.output)
	}
	s.must(s.call("DELETE", "/v1/apps/shop/keys/"+id, s.admin, ""), 204)
	s.shutDown()
	if text := s.metadataFile(); !strings.Contains(text, `"paths"`) {
		t.Error("revoking has dropped the restriction")
	}

	s.editMetadata(4, "", "")
	before := s.metadataFile()
	if s.launched() || !strings.Contains(s.output.String(), "written by a newer version") {
		t.Errorf("a newer metadata.json:\n%s", s.output)
	}
	if s.metadataFile() != before {
		t.Error("it was changed")
	}
}

func (s *server) metadataFile() string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.data, "metadata.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// editMetadata replaces a text in metadata.json and gives it a version and its checksum.
func (s *server) editMetadata(version int, from, to string) {
	s.t.Helper()
	var file struct {
		Metadata jsontext.Value `json:"metadata"`
	}
	if err := json.Unmarshal([]byte(s.metadataFile()), &file); err != nil {
		s.t.Fatal(err)
	}
	text := []byte(strings.Replace(string(file.Metadata), from, to, 1))
	if err := os.WriteFile(filepath.Join(s.data, "metadata.json"), envelope.Seal(version, "metadata", text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Damage to the blocks that hold a key's revocation, or to all of them, does not make the key valid
// again: the copy has it. Without a copy that can be used the server refuses to start, each time.
func TestARevocationOutlivesDamage(t *testing.T) {
	t.Parallel()
	whole := start(t)
	a := whole.call("POST", "/v1/apps/shop/keys", whole.admin, `{"kind":"read"}`)
	whole.must(a, 201)
	secret := a.text("key")
	padding := func(from, to int) {
		for i := from; i < to; i++ {
			body := fmt.Sprintf(`{"description":%q}`, strings.Repeat("x", 200<<10))
			if a := whole.call("PUT", fmt.Sprintf("/v1/types/c/n%d", i), whole.admin, body); a.status != 200 {
				t.Fatal(a.status)
			}
		}
	}
	padding(0, 45) // the key is in another block than its revocation
	whole.must(whole.call("DELETE", "/v1/apps/shop/keys/"+a.text("key_id"), whole.admin, ""), 204)
	padding(45, 90)
	whole.shutDown()
	sum := sha256.Sum256([]byte(secret))
	subject := []byte("key." + hex.EncodeToString(sum[:]))

	for name, test := range map[string]struct {
		blocks func(block []byte) []int // places where bits are flipped
		copy   func(b []byte) []byte    // of metadata.json; nil removes it
		starts bool
	}{
		"the revocation":               {revocation(subject), unchanged, true},
		"the revocation's subject":     {func(b []byte) []int { return places(b, subject, 3) }, unchanged, true},
		"every block":                  {everywhere, unchanged, true},
		"the revocation, no copy":      {revocation(subject), nil, false},
		"the revocation, damaged copy": {revocation(subject), func(b []byte) []byte { return b[:len(b)-9] }, false},
		"every block, no copy":         {everywhere, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{t: t, data: t.TempDir()}
			if err := os.CopyFS(s.data, os.DirFS(whole.data)); err != nil {
				t.Fatal(err)
			}
			blocks, err := filepath.Glob(filepath.Join(filepath.Dir(s.metadataBlock()), "*.blk"))
			if err != nil || len(blocks) < 2 {
				t.Fatal(blocks, err)
			}
			flipped := 0
			for _, block := range blocks {
				b, err := os.ReadFile(block)
				if err != nil {
					t.Fatal(err)
				}
				for _, at := range test.blocks(b) {
					flipBit(t, block, int64(at))
					flipped++
				}
			}
			if flipped == 0 {
				t.Fatal("nothing was damaged")
			}
			file := filepath.Join(s.data, "metadata.json")
			if test.copy == nil {
				err = os.Remove(file)
			} else {
				err = os.WriteFile(file, test.copy([]byte(s.metadataFile())), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if s.launched() != test.starts {
					t.Fatalf("it starts: %v\n%s", !test.starts, s.output)
				}
				if !test.starts {
					if !strings.Contains(s.output.String(), "keys that were revoked may seem valid again") {
						t.Errorf("refused with\n%s", s.output)
					}
					continue
				}
				s.must(s.call("GET", "/v1/events", secret, ""), 401)
				s.must(s.call("GET", "/v1/apps/shop", s.admin, ""), 200)
				if a := s.call("GET", "/v1/types/c/n89", s.admin, ""); a.status != 200 {
					t.Errorf("a type: status %d", a.status)
				}
				s.shutDown()
			}
		})
	}
}

func unchanged(b []byte) []byte { return b }

// places returns where a text is in a block, shifted.
func places(b, text []byte, shift int) (found []int) {
	for at := 0; ; {
		i := bytes.Index(b[at:], text)
		if i < 0 {
			return found
		}
		found = append(found, at+i+shift)
		at += i + len(text)
	}
}

// revocation returns the place of the time at which a key was revoked.
func revocation(subject []byte) func([]byte) []int {
	return func(b []byte) (found []int) {
		for _, at := range places(b, subject, 0) {
			end := min(len(b), at+600)
			if i := bytes.Index(b[at:end], []byte(`"revoked_at":"`)); i >= 0 {
				found = append(found, at+i+16)
			}
		}
		return found
	}
}

// everywhere returns a place in each record, nearly.
func everywhere(b []byte) (found []int) { return places(b, []byte("$KV."), 0) }

// The file of a replay that cannot be used is named by /v1/replays and by the report of an erasure,
// which does not look into it, and goes with the quarantines.
func TestUnusableReplays(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post(numbered(0, 3))
	s.shutDown()
	const id = "0198a000-0000-7000-8000-000000000001"
	file := filepath.Join(s.data, "replays", id+".json")
	content := string(envelope.Seal(9, "replay", []byte(`{"of":"s"}`)))
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	s.launch()
	a := s.call("GET", "/v1/replays/"+id, s.admin, "")
	s.must(a, 200)
	if a.text("state") != "failed" || !strings.Contains(a.text("error"), "written by a newer version") {
		t.Errorf("it is told as %s", a.body)
	}
	want := fmt.Sprintf(`"unsearched":[{"where":"replays","files":1,"bytes":%d}]`, len(content))
	if a = s.call("DELETE", "/v1/sessions/s", s.admin, ""); a.status != 200 || !strings.Contains(string(a.body), want) {
		t.Errorf("the report is %s", a.body)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != content {
		t.Errorf("the file has %s, %v", b, err)
	}
	if a = s.call("DELETE", "/v1/sessions/s?quarantine=1", s.admin, ""); a.status != 200 || !strings.Contains(string(a.body), `"unsearched":[],"deleted":[{"where":"replays"`) {
		t.Errorf("the report is %s", a.body)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Error("the file is still there")
	}
	s.must(s.call("GET", "/v1/replays/"+id, s.admin, ""), 404)
}
