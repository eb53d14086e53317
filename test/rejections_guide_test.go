package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRejectionsGuide runs the commands of docs/guides/rejections.md with the files
// that it shows, and compares what they print where that does not depend on the time.
func TestRejectionsGuide(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/guides/rejections.md")
	if err != nil {
		t.Fatal(err)
	}
	guide := string(text)
	s := &server{t: t, data: t.TempDir()}
	s.launch()
	dir := t.TempDir()
	file := func(name string) string {
		_, after, ok := strings.Cut(guide, "$ cat "+name+"\n")
		end := strings.IndexAny(after, "$`")
		if !ok || end < 0 {
			t.Fatalf("the guide does not show %s", name)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(after[:end]), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	files := map[string]string{}
	for _, name := range []string{"strict.json", "events.ndjson", "right.json", "repair.json"} {
		files[name] = file(name)
	}
	ran := 0
	run := func(code int, line string, wants ...string) {
		t.Helper()
		if !strings.Contains(guide, "$ eye "+line+"\n") {
			t.Fatalf("the guide has no %q", line)
		}
		ran++
		args := strings.Fields(strings.ReplaceAll(line, "'form interaction'", "form_interaction"))
		for i, arg := range args {
			args[i] = strings.ReplaceAll(arg, "form_interaction", "form interaction")
			if path, ok := files[arg]; ok {
				args[i] = path
			}
		}
		got, out := runEye(t, []string{"EYE_DATA=" + s.data}, args...)
		if got != code {
			t.Errorf("eye %s: code %d, want %d:\n%s", line, got, code, out)
		}
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("eye %s lacks %q:\n%s", line, want, out)
			}
			if !strings.Contains(guide, want) {
				t.Errorf("the guide does not show %q", want)
			}
		}
	}
	run(0, "types put 'form interaction' submit strict.json", "form interaction / submit is in force as version 1\n")
	run(3, "send events.ndjson --wait", "2 accepted, 2 rejected, 0 duplicates\n")
	run(0, "rejections summary --replayed false", " UTC: 'form interaction/submit' from default lacks /data/form/last_name\n")
	const path = "OCCURRED AT                  APP      SESSION  CATEGORY          NAME      DATA\n" +
		"2026-11-24T10:00:00.000000Z  default  a7       page interaction  pageview  {\"path\":\"/quote\"}\n"
	run(0, "session a7", "missing  1\n", path+"2026-11-24T10:00:31", "1        web     2         2       d989a651-e266-5ffa-8c18-47a2b2c7a605")
	run(0, "types propose 'form interaction' submit", "drawn from 2 rejections, as no event of the type is stored\n", "/properties/form/properties/first_name  type: string  2     2   0\n")
	run(0, "types try 'form interaction' submit right.json", "0 of 0 stored events would fail\n2 of 2 rejections would pass\n")
	run(0, "types put 'form interaction' submit right.json", "form interaction / submit is in force as version 2\n")
	run(0, "rejections replay --code schema_violation --session a7 --dry-run", "1 rejection: 1 would pass, 0 would fail.\n")
	run(0, "rejections replay --code schema_violation --session a7 --yes", "1 rejection: 1 stored, 0 duplicates, 0 still rejected, 0 erased, 0 expired.\n")
	run(0, "rejections replay --code schema_violation --session a7 --yes", "0 rejections: 0 stored, 0 duplicates, 0 still rejected, 0 erased, 0 expired.\n")
	run(0, "rejections replay --pointer /data/form/last_name --patch repair.json --dry-run", "  -      \"first_name\": \"Bob\"\n  +      \"first_name\": \"Bob\",\n  +      \"last_name\": \"\"\n")
	run(0, "rejections replay --pointer /data/form/last_name --patch repair.json --yes", "1 rejection: 1 stored, 0 duplicates, 0 still rejected, 0 erased, 0 expired.\n")
	run(0, "session a7", "missing  0\n", path+"2026-11-24T10:00:30.000000Z  default  a7       form interaction  submit    {\"form\":{\"first_name\":\"Ann\"}}\n")
	run(0, "receipt f1", "8d720b24-c96e-53ec-a2ef-e0cbd63b4f31 of default: stored\n", "1      1      stored by a replay  \n")
	run(0, "books", "default  4         4       0         0          0       0        0     0        yes\n")
	// One more shows a rejection by its id, which is not the same each time.
	if shown := strings.Count(guide, "$ eye "); shown != ran+1 {
		t.Errorf("the guide shows %d commands, %d were run", shown, ran)
	}
}
