package erasure_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"theeye/internal/erasure"
)

// What is whole of a damaged file and of a copy of the same key is kept, each line once.
func TestSalvage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tombstones")
	l := log(t, path, erasure.Digest{})
	begin(t, l, two...)
	if err := l.Finish(two[:1], 9, "T"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole := strings.SplitAfter(string(b), "\n")[:4]
	without := func(n int) string { // with a damaged line
		list := append([]string(nil), whole...)
		list[n] = strings.Replace(list[n], `"crc":"`, `"crc":"x`, 1)
		return strings.Join(list, "")
	}
	another := filepath.Join(t.TempDir(), "another")
	begin(t, log(t, another, erasure.Digest{}), two[0])
	other, err := os.ReadFile(another)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		copies []string
		kept   string // ids
		lines  int
		err    error
	}{
		"whole":                             {[]string{string(b)}, two[0].ID + two[1].ID, 4, nil},
		"a damaged line":                    {[]string{without(1)}, two[1].ID, 3, nil},
		"cut off within a line":             {[]string{string(b[:len(whole[0]+whole[1])+9])}, two[0].ID, 2, nil},
		"a damaged line and an older copy":  {[]string{whole[0] + whole[1], without(1)}, two[0].ID + two[1].ID, 4, nil},
		"a damaged key":                     {[]string{without(0)}, "", 0, erasure.ErrNothingWhole},
		"a damaged key and an older copy":   {[]string{whole[0] + whole[1], without(0)}, two[0].ID + two[1].ID, 4, nil},
		"a damaged key, nothing in common":  {[]string{whole[0] + whole[1], strings.Join([]string{"x\n", "x\n", whole[2], whole[3]}, "")}, two[0].ID, 2, nil},
		"a missing file and a copy":         {[]string{whole[0] + whole[1], ""}, two[0].ID, 2, nil},
		"a key alone":                       {[]string{whole[0]}, "", 0, erasure.ErrNothingWhole},
		"nothing":                           {[]string{""}, "", 0, erasure.ErrNothingWhole},
		"a copy of another data directory":  {[]string{string(other), without(1)}, "", 0, erasure.ErrOtherKey},
		"a newer version":                   {[]string{sealedLine(`{"version":3,"key":"` + strings.Repeat("0", 64) + `"`)}, "", 0, erasure.ErrNewer},
		"a line that only a newer one has":  {[]string{whole[0] + whole[1] + sealedLine(`{"other":1`)}, "", 0, erasure.ErrNewer},
		"a damaged line of a newer version": {[]string{whole[0] + whole[1] + "{\"other\":1}\n"}, two[0].ID, 2, nil},
	} {
		copies := [][]byte{}
		for _, text := range c.copies {
			copies = append(copies, []byte(text))
		}
		s, err := erasure.Salvage(copies...)
		if !errors.Is(err, c.err) || c.err == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		if c.err != nil {
			continue
		}
		var ids string
		for _, one := range s.Tombstones {
			ids += one.ID
			if one.Finished {
				t.Errorf("%s: %s is finished", name, one.ID)
			}
		}
		if ids != c.kept || s.Whole != c.lines {
			t.Errorf("%s: kept %s and %d lines, want %s and %d", name, ids, s.Whole, c.kept, c.lines)
		}
		digest, err := s.Digest()
		if err == nil {
			err = s.Write(path)
		}
		if err != nil {
			t.Fatal(err)
		}
		if again, err := erasure.Read(path, digest); err != nil || len(again.Tombstones) != len(s.Tombstones) || again.Key != s.Key {
			t.Errorf("%s: written and read again: %d tombstones, %v", name, len(again.Tombstones), err)
		}
	}
}

func sealedLine(text string) string { return erasure.Seal(text + "}") }
