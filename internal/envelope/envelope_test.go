package envelope_test

import (
	"errors"
	"strings"
	"testing"

	"theeye/internal/envelope"
)

const name = "thing"

func TestOpen(t *testing.T) {
	sealed := string(envelope.Seal(3, name, []byte(`{"a": 1}`)))
	for title, test := range map[string]struct {
		content string
		version int
		value   string
		err     error
	}{
		"whole":                 {sealed, 3, `{"a": 1}`, nil},
		"an old form":           {`{"version":2,"anything":1}`, 2, "", nil},
		"without a version":     {`{"anything":1}`, 0, "", nil},
		"newer":                 {string(envelope.Seal(4, name, []byte(`{}`))), 4, "", envelope.ErrNewer},
		"newer, not whole":      {`{"version":4,"thing":{}}`, 4, "", envelope.ErrDamaged},
		"a digest and none due": {string(envelope.Seal(2, name, []byte(`{}`))), 2, "", envelope.ErrDamaged},
		"its version changed":   {strings.Replace(sealed, "3", "4", 1), 4, "", envelope.ErrDamaged},
		"its version old":       {strings.Replace(sealed, "3", "2", 1), 2, "", envelope.ErrDamaged},
		"its digest renamed":    {strings.Replace(sealed, "sha256", "sha257", 1), 3, "", envelope.ErrDamaged},
		"its value renamed":     {strings.Replace(sealed, name, "think", 1), 3, "", envelope.ErrDamaged},
		"its value changed":     {strings.Replace(sealed, `"a"`, `"b"`, 1), 3, "", envelope.ErrDamaged},
		"something beside it":   {strings.Replace(sealed, `{`, `{"more":1,`, 1), 3, "", envelope.ErrDamaged},
		"cut":                   {sealed[:len(sealed)-3], 0, "", envelope.ErrDamaged},
		"empty":                 {"", 0, "", envelope.ErrDamaged},
	} {
		version, value, err := envelope.Open([]byte(test.content), name, 2, 3)
		if version != test.version || string(value) != test.value || !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
			t.Errorf("%s: %d %s %v", title, version, value, err)
		}
	}
}

func TestDecode(t *testing.T) {
	for content, want := range map[string]error{
		`{"A":1}`:       nil,
		`{"A":1,"B":2}`: envelope.ErrNewer,
		`{"A":"x"}`:     envelope.ErrDamaged,
		`{"A":1`:        envelope.ErrDamaged,
	} {
		var into struct{ A int }
		if err := envelope.Decode([]byte(content), &into); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v", content, err)
		}
	}
}

// What a log or a terminal shows of a damaged file has no words for programmers.
func TestTextsOfErrors(t *testing.T) {
	for content, want := range map[string]string{
		"x":             "it is damaged: invalid character 'x' at start of value",
		`{"version":3`:  "it is damaged: the JSON ends too early",
		`{"version":""`: "it is damaged: the value at /version does not have the expected form",
	} {
		if _, _, err := envelope.Open([]byte(content), name, 2, 3); err == nil || err.Error() != want {
			t.Errorf("Open %s: %v, want %s", content, err, want)
		}
	}
	for content, want := range map[string]string{
		`{"A":1,"B":2}`: `written by a newer version of The Eye; start that version again (unknown member "B")`,
		`{"A":"x"}`:     "it is damaged: the value at /A does not have the expected form",
	} {
		if err := envelope.Decode([]byte(content), &struct{ A int }{}); err == nil || err.Error() != want {
			t.Errorf("Decode %s: %v, want %s", content, err, want)
		}
	}
}
