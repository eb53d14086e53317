package read_test

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"theeye/internal/event"
	"theeye/internal/httpapi/apitest"
)

// listed returns the lines that result from paging through /v1/events.
func listed(a *apitest.API, app string, q url.Values) string {
	a.Helper()
	var lines strings.Builder
	q.Set("limit", "7")
	for {
		var page struct {
			Events     []jsontext.Value `json:"events"`
			NextCursor string           `json:"next_cursor"`
		}
		if err := json.Unmarshal([]byte(a.Text(app, "/v1/events?"+q.Encode())), &page, jsontext.AllowDuplicateNames(true)); err != nil {
			a.Fatal(err)
		}
		for _, e := range page.Events {
			lines.WriteString(string(e) + "\n")
		}
		if page.NextCursor == "" {
			return lines.String()
		}
		q.Set("cursor", page.NextCursor)
	}
}

// odd returns an event with values that are difficult for formats, plain one with only what is
// required.
func odd() event.Event {
	e := apitest.Simple(1, "shop")
	e.ClientID, e.Sender, e.Seq, e.SentAt, e.SchemaVersion = "order,1", "web \"2\"", 1<<53-1, e.OccurredAt+1, 3
	e.SessionID, e.Category, e.Name, e.Timestamp = "line\nline", "=SUM(A1)", "naïve 日本", "1600000000.000001"
	e.Data = []byte(`{ "big":123456789012345678901234567890, "as":1.50,"e":1e1,` + "\n" + `"t":"a\n\"b\" \u00e9é","l":[null,true,{}] }`)
	return e
}

func plain() event.Event { return apitest.Simple(2, "shop") }

func TestFormats(t *testing.T) {
	a := apitest.Start(t)
	a.Write(odd())
	a.Flush()
	a.Write(plain())
	for format, want := range map[string]string{
		"": `{"app":"shop","id":"00000000-0000-7000-8000-000000000001","client_id":"order,1","session_id":"line\nline","category":"=SUM(A1)","name":"naïve 日本",` +
			`"data":{"big":123456789012345678901234567890,"as":1.50,"e":1e1,"t":"a\n\"b\" \u00e9é","l":[null,true,{}]},"timestamp":1600000000.000001,` +
			`"occurred_at":"2020-09-13T13:26:40.000000Z","received_at":"2020-09-13T13:26:40.000005Z","sent_at":"2020-09-13T13:26:40.000001Z","seq":9007199254740991,"sender":"web \"2\"","schema_version":3}` + "\n" +
			`{"app":"shop","id":"00000000-0000-7000-8000-000000000002","session_id":"s2","category":"page","name":"view","data":{"n":2},"timestamp":"2020-09-13T12:26:40Z",` +
			`"occurred_at":"2020-09-13T14:26:40.000000Z","received_at":"2020-09-13T14:26:40.000005Z","sent_at":null,"seq":null,"sender":null,"schema_version":0}` + "\n",
		"csv": "app,id,client_id,session_id,category,name,data,timestamp,occurred_at,received_at,sent_at,seq,sender,schema_version\r\n" +
			"shop,00000000-0000-7000-8000-000000000001,\"order,1\",\"line\nline\",=SUM(A1),naïve 日本," +
			`"{ ""big"":123456789012345678901234567890, ""as"":1.50,""e"":1e1,` + "\n" + `""t"":""a\n\""b\"" \u00e9é"",""l"":[null,true,{}] }",1600000000.000001,` +
			`2020-09-13T13:26:40.000000Z,2020-09-13T13:26:40.000005Z,2020-09-13T13:26:40.000001Z,9007199254740991,"web ""2""",3` + "\r\n" +
			`shop,00000000-0000-7000-8000-000000000002,,s2,page,view,"{""n"":2}",2020-09-13T12:26:40Z,` +
			"2020-09-13T14:26:40.000000Z,2020-09-13T14:26:40.000005Z,,,,0\r\n",
	} {
		path := "/v1/export"
		if format != "" {
			path += "?format=" + format
		}
		if diff := cmp.Diff(want, a.Text("", path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	records, err := csv.NewReader(strings.NewReader(a.Text("", "/v1/export?format=csv"))).ReadAll()
	if err != nil || len(records) != 3 || records[1][6] != string(odd().Data) || records[1][3] != odd().SessionID {
		t.Errorf("read back: %q, %v", records, err)
	}
}

// With safe=1, no value of a CSV begins as a formula does, and nothing else changes.
func TestSafeCSV(t *testing.T) {
	a := apitest.Start(t)
	texts := []string{"=SUM(A1)", "+1", "-1", "@x", "\tx", "\rx", "'x", "x=", " =x", ""}
	for i, text := range texts {
		e := apitest.Simple(i, "shop")
		e.Sender = text
		e.OccurredAt = plain().OccurredAt + event.Micros(i)
		a.Write(e)
	}
	column := func(path string) (senders []string) {
		records, err := csv.NewReader(strings.NewReader(a.Text("", path))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records[1:] {
			senders = append(senders, r[12])
		}
		return senders
	}
	if diff := cmp.Diff([]string{"'=SUM(A1)", "'+1", "'-1", "'@x", "'\tx", "'\rx", "'x", "x=", " =x", ""}, column("/v1/export?format=csv&safe=1")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(texts, column("/v1/export?format=csv")); diff != "" {
		t.Error(diff)
	}
	for _, path := range []string{"/v1/export?safe=1", "/v1/export?format=csv&safe=0", "/v1/export?format=parquet&safe=1"} {
		if answer := a.Get("", path); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
	}
	answer := a.Get("", "/v1/export?format=csv&safe=1")
	if !strings.HasPrefix(answer.Header.Get("Content-Disposition"), "attachment;") || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", answer.Header)
	}
}

func TestExportIsWhatPagingGives(t *testing.T) {
	a := apitest.Start(t)
	if got := a.Text("", "/v1/export"); got != "" {
		t.Errorf("of nothing: %q", got)
	}
	if got := a.Text("", "/v1/export?format=csv"); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "app,id,") {
		t.Errorf("of nothing: %q", got)
	}
	for part := range 5 { // four segments and hot rows
		var events []event.Event
		for i := range 30 {
			n := part*30 + i
			events = append(events, apitest.Simple(n, []string{"shop", "shop", "blog"}[n%3]))
		}
		a.Write(events...)
		if part < 4 {
			a.Flush()
		}
	}
	for _, tc := range []struct {
		app   string
		query string
		lines int
	}{
		{"", "", 150},
		{"", "order=desc", 150},
		{"", "app=blog&order=desc", 50},
		{"", "session_id=s1&session_id=s3", 75},
		{"", "from=2020-09-13T15:00:00Z&to=2020-09-13T17:00:00Z", 34},
		{"", "where=data.n%3E=140", 10},
		{"", "where=data.n%3E=14000", 0},
		{"shop", "", 100},
		{"blog", "order=desc", 50},
	} {
		q, err := url.ParseQuery(tc.query)
		if err != nil {
			t.Fatal(err)
		}
		got := a.Text(tc.app, "/v1/export?"+tc.query)
		if n := strings.Count(got, "\n"); n != tc.lines {
			t.Errorf("key of %q, %s: %d events, want %d", tc.app, tc.query, n, tc.lines)
		}
		if diff := cmp.Diff(listed(a, tc.app, q), got); diff != "" {
			t.Errorf("key of %q, %s (-pages +export):\n%s", tc.app, tc.query, diff)
		}
		table := a.Text(tc.app, "/v1/export?format=csv&"+tc.query)
		if n := strings.Count(table, "\n"); n != tc.lines+1 {
			t.Errorf("key of %q, %s: %d lines of csv, want %d and a head", tc.app, tc.query, n, tc.lines)
		}
	}
}

func TestExportHeaders(t *testing.T) {
	a := apitest.Start(t)
	a.Write(odd(), plain())
	lines, table := a.Text("", "/v1/export"), a.Text("", "/v1/export?format=csv")
	unzip := func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	unzstd := func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) }
	for _, tc := range []struct {
		format, accept string
		mediaType      string
		encoding       string
		unpack         func(io.Reader) (io.Reader, error)
		want           string // empty for a file of Parquet
	}{
		{"ndjson", "identity", "application/x-ndjson", "", nil, lines},
		{"ndjson", "gzip", "application/x-ndjson", "gzip", unzip, lines},
		{"ndjson", "br, gzip;q=0.5, zstd", "application/x-ndjson", "zstd", unzstd, lines},
		{"ndjson", "gzip;q=0, *", "application/x-ndjson", "", nil, lines},
		{"csv", "gzip", "text/csv; charset=utf-8", "gzip", unzip, table},
		{"parquet", "gzip", "application/vnd.apache.parquet", "", nil, ""},
	} {
		answer := a.Get("", "/v1/export?format="+tc.format, "Accept-Encoding", tc.accept)
		var body io.Reader = answer.Body
		if tc.unpack != nil {
			var err error
			if body, err = tc.unpack(body); err != nil {
				t.Fatal(err)
			}
		}
		got, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		if tc.want != "" && string(got) != tc.want {
			t.Errorf("%s for %s: got %q", tc.format, tc.accept, got)
		}
		if tc.want == "" && (!bytes.HasPrefix(got, []byte("PAR1")) || !bytes.HasSuffix(got, []byte("PAR1")) || answer.ContentLength != int64(len(got))) {
			t.Errorf("no whole Parquet file: %d bytes of %d", len(got), answer.ContentLength)
		}
		h := answer.Header
		if h.Get("Content-Type") != tc.mediaType || h.Get("Content-Encoding") != tc.encoding {
			t.Errorf("%s for %s: %v", tc.format, tc.accept, h)
		}
		disposition, params, err := mime.ParseMediaType(h.Get("Content-Disposition"))
		if err != nil || disposition != "attachment" || filepath.Ext(params["filename"]) != "."+tc.format {
			t.Errorf("%s: Content-Disposition %q", tc.format, h.Get("Content-Disposition"))
		}
	}
}

func TestExportParameters(t *testing.T) {
	a := apitest.Start(t)
	for path, part := range map[string]string{
		"format=xml":                "format",
		"limit=5":                   "limit",
		"cursor=x":                  "cursor",
		"order=up":                  "order",
		"format=parquet&order=desc": "order",
		"from=yesterday":            "from",
		"where=":                    "where",
	} {
		answer := a.Get("", "/v1/export?"+path)
		body, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), part) || answer.Header.Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %s", path, answer.StatusCode, body)
		}
	}
	if answer := a.Get("shop", "/v1/export?app=blog"); answer.StatusCode != http.StatusForbidden {
		t.Errorf("another application: %d", answer.StatusCode)
	}
	if answer := a.Get("none", "/v1/export"); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("no key: %d", answer.StatusCode)
	}
}

// A caller that goes away leaves no file, and the next export works.
func TestExportOfCallersWhoLeave(t *testing.T) {
	a := apitest.Start(t)
	for part := range 8 {
		var events []event.Event
		for i := range 5000 {
			e := apitest.Simple(part*5000+i, "shop")
			e.Data = fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("x", 1000))
			events = append(events, e)
		}
		a.Write(events...)
	}
	for _, format := range []string{"ndjson", "csv", "parquet"} {
		answer := a.Get("", "/v1/export?format="+format)
		if _, err := bufio.NewReaderSize(answer.Body, 16).ReadByte(); err != nil {
			t.Fatal(format, err)
		}
		_ = answer.Body.Close()
		// One export runs at a time: this one begins when that one has ended.
		if n := strings.Count(a.Text("", "/v1/export?session_id=s1"), "\n"); n != 10_000 {
			t.Errorf("after %s: %d events", format, n)
		}
	}
	entries, err := os.ReadDir(filepath.Join(a.Dir, "export"))
	if err != nil || len(entries) > 0 {
		t.Errorf("left in the export folder: %v, %v", entries, err)
	}
}
