package test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// operation is a route as the OpenAPI document tells it.
type operation struct {
	method, path string
	access       string // what x-access declares, "" when nothing
	secured      bool   // whether a security scheme is declared
	app          bool   // whether it has the parameter app
}

func (o operation) String() string { return o.method + " " + o.path }

// operations are all routes of a server, in order.
func (s *server) operations() []operation {
	s.t.Helper()
	var list []operation
	for path, item := range s.call("GET", "/openapi.json", "", "").json()["paths"].(map[string]any) {
		for method, value := range item.(map[string]any) {
			op := value.(map[string]any)
			o := operation{method: strings.ToUpper(method), path: path}
			o.access, _ = op["x-access"].(string)
			schemes, _ := op["security"].([]any)
			o.secured = len(schemes) > 0
			params, _ := op["parameters"].([]any)
			o.app = slices.ContainsFunc(params, func(p any) bool {
				return p.(map[string]any)["name"] == "app" && p.(map[string]any)["in"] == "query"
			})
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b operation) int { return strings.Compare(a.String(), b.String()) })
	return list
}

// contract says who may call a route, as the contract does: sending takes a write
// key, reading a read or an admin key, and the rest an admin key.
func contract(o operation) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(o.path, "/v1/"), "/")
	switch {
	case slices.Contains([]string{"/healthz", "/readyz", "/openapi.json", "/docs", "/eye.js", "/event/", "/"}, o.path):
		return "open"
	case o.path == "/metrics":
		return "metrics"
	case o.String() == "POST /v1/logins":
		return "open"
	case o.String() == "POST /v1/events":
		return "write"
	case o.path == "/v1/logins/current", o.path == "/v1/find", o.path == "/v1/overview":
		return "read"
	case o.method == "GET" && slices.Contains([]string{
		"events", "count", "sessions", "rejections", "series", "values", "receipts", "books", "feed", "tail", "export", "types",
	}, first):
		return "read"
	}
	return "admin"
}

// cells says which ways to call a route succeed: + does, and . is refused with 401 or 403. A row is
// what x-access declares, a column the key. Those of blog ask for the application shop; write keys
// have no say in that, their events are blog's. "revoked" and "expired" stand for a key of each
// kind, "elsewhere" for a key that names origins and is used from none or another, "page" for that
// key from its page. "?key=" is the right key as a parameter, "basic" as the user name.
const cells = `
         none unknown write write-of-blog read read-of-blog read-all admin revoked expired elsewhere page ?key= basic
open     +    +       +     +             +    +            +        +     +       +       +         +    +     +
write    .    .       +     +             .    .            .        .     .       .       .         +    +     +
read     .    .       .     .             +    .            +        +     .       .       .         .    .     +
admin    .    .       .     .             .    .            .        +     .       .       .         .    .     +
metrics  .    .       .     .             .    .            +        +     .       .       .         .    .     +
`

// table reads cells: the columns, and by access one entry for each.
func table() (columns []string, rows map[string][]bool) {
	rows = map[string][]bool{}
	for i, line := range strings.Split(strings.TrimSpace(cells), "\n") {
		fields := strings.Fields(line)
		if i == 0 {
			columns = fields
			continue
		}
		for _, cell := range fields[1:] {
			rows[fields[0]] = append(rows[fields[0]], cell == "+")
		}
	}
	return columns, rows
}

// caller is one way to call a route.
type caller struct {
	column string
	key    string // Bearer; "" for none
	header []string
	query  string // added to the path
}

// callers returns each caller of the table for a route of an access.
func (s *server) callers(keys map[string]string, o operation) []caller {
	right := map[string]string{"write": "write", "read": "read"}[o.access]
	if right == "" {
		right = "admin"
	}
	var list []caller
	add := func(column, key, query string, header ...string) {
		list = append(list, caller{column, keys[key], header, query})
	}
	add("none", "", "")
	list = append(list, caller{column: "unknown", key: "eye_a_unknown-and-long-enough"}, caller{column: "unknown", key: "x"},
		caller{column: "unknown", key: keys[right] + "x"}, caller{column: "unknown", header: []string{"Authorization", "Digest " + keys[right]}})
	add("write", "write", "")
	add("write-of-blog", "write-of-blog", "app=shop")
	add("read", "read", "")
	add("read-of-blog", "read-of-blog", "app=shop")
	add("read-all", "read-all", "")
	add("admin", "admin", "")
	for _, kind := range []string{"write", "read", "all", "admin"} {
		add("revoked", "revoked "+kind, "")
		add("expired", "expired "+kind, "")
	}
	add("elsewhere", "page", "")
	for _, origin := range []string{"null", "https://evil.example", page + ".evil.example", "http://shop.example.com", page + "/"} {
		add("elsewhere", "page", "", "Origin", origin)
	}
	add("page", "page", "", "Origin", page)
	add("?key=", "", "key="+url.QueryEscape(keys[right]))
	add("basic", "", "", "Authorization", "Basic "+basic(keys[right]))
	return list
}

// Each route of the document is called in each way, and only those that the table
// tells succeed (P8). A route that declares nothing, or another access than the
// contract, fails.
func TestAccess(t *testing.T) {
	t.Parallel()
	s := start(t, "--legacy-app", "legacy")
	keys := s.everyKindOfKey()
	columns, rows := table()
	operations := s.operations()
	if len(operations) < 39 {
		t.Fatalf("the document has %d routes", len(operations))
	}
	for _, o := range operations {
		row, known := rows[o.access]
		if !known || o.access != contract(o) || o.secured != (o.access != "open") {
			t.Errorf("%s declares %q (security: %v), and the contract says %q", o, o.access, o.secured, contract(o))
			continue
		}
		for _, c := range s.callers(keys, o) {
			want := row[slices.Index(columns, c.column)]
			if o.access == "read" && c.column == "read-of-blog" && !o.app {
				want = true // it shows nothing of an application
			}
			if o.String() == "POST /v1/logins" && slices.Contains(c.header, "Origin") {
				want = false // people sign in at the page of the server
			}
			status := s.status(o, c)
			if got := status != http.StatusUnauthorized && status != http.StatusForbidden; got != want || status == 0 {
				t.Errorf("%s, %s (%q %q): %d", o, c.column, c.header, c.query, status)
			}
			if want401 := slices.Contains([]string{"none", "unknown", "revoked", "expired"}, c.column); !want && want401 && status != http.StatusUnauthorized {
				t.Errorf("%s, %s: %d, want 401", o, c.column, status)
			}
		}
	}
}

// status calls a route with something in each of its places. An answer without
// end is not read.
func (s *server) status(o operation, c caller) int {
	s.t.Helper()
	path := strings.NewReplacer("{id}", "01980c00-0000-7000-8000-000000000000", "{app}", "none", "{key_id}", "none",
		"{category}", "c", "{name}", "n", "{", "", "}", "").Replace(o.path)
	req, err := http.NewRequestWithContext(s.t.Context(), o.method, s.url+path+"?"+c.query, strings.NewReader("{}"))
	if err != nil {
		s.t.Fatal(err)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	for i := 0; i+1 < len(c.header); i += 2 {
		req.Header.Set(c.header[i], c.header[i+1])
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden {
		s.tellsNothing(o, answer)
	}
	return answer.StatusCode
}

// tellsNothing checks that a refusal names no application, key or origin.
func (s *server) tellsNothing(o operation, answer *http.Response) {
	s.t.Helper()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{"shop", "blog", "eye_", "revoked", "expired", "unknown", "evil"} {
		if strings.Contains(string(body), name) {
			s.t.Errorf("%s: the refusal tells of %s: %s", o, name, body)
		}
	}
	if (answer.StatusCode == http.StatusUnauthorized) != (answer.Header.Get("WWW-Authenticate") != "") {
		s.t.Errorf("%s: %d with WWW-Authenticate %q", o, answer.StatusCode, answer.Header.Get("WWW-Authenticate"))
	}
}

// everyKindOfKey makes the keys that callers use, by name.
func (s *server) everyKindOfKey() map[string]string {
	s.t.Helper()
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"blog"}`), 201)
	keys := map[string]string{
		"admin": s.admin, "write": s.write, "read": s.read,
		"write-of-blog": s.key("blog", "write"), "read-of-blog": s.key("blog", "read"),
	}
	create := func(path, kind, more string) reply {
		a := s.call("POST", path, s.admin, fmt.Sprintf(`{"kind":%q%s}`, kind, more))
		s.must(a, 201)
		return a
	}
	keys["read-all"] = create("/v1/keys", "read", "").text("key")
	keys["page"] = create("/v1/apps/shop/keys", "write", `,"origins":["`+page+`"]`).text("key")
	soon := time.Now().Add(10 * time.Second).Format(time.RFC3339Nano)
	for name, k := range map[string]struct{ path, kind string }{
		"write": {"/v1/apps/shop/keys", "write"}, "read": {"/v1/apps/shop/keys", "read"}, "all": {"/v1/keys", "read"}, "admin": {"/v1/keys", "admin"},
	} {
		revoked := create(k.path, k.kind, "")
		s.must(s.call("DELETE", k.path+"/"+revoked.text("key_id"), s.admin, ""), 204)
		keys["revoked "+name] = revoked.text("key")
		keys["expired "+name] = create(k.path, k.kind, `,"expires_at":"`+soon+`"`).text("key")
	}
	for name, key := range keys {
		if strings.HasPrefix(name, "expired") {
			s.eventually(name, func() bool { return s.call("GET", "/v1/types", key, "").status == http.StatusUnauthorized })
		}
	}
	return keys
}
