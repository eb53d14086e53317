package registry_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"theeye/internal/registry"
)

func change(document string) registry.TypeChange {
	return registry.TypeChange{Category: "c", Name: "n", Document: []byte(document), Author: "key_1"}
}

// Every version is kept with its author; what breaks needs force; the old schema put again is a new
// version.
func TestChangesOfAType(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	r := open(t, js, dir)
	const wide, narrow = `{"type":"object"}`, `{"type":"object","required":["path"]}`
	steps := []struct {
		name    string
		change  func(*registry.TypeChange)
		schema  string
		version uint32
		made    bool
		breaks  int // reasons; negative when it is refused for them
	}{
		{"the first is compared with nothing", nil, narrow, 1, true, 0},
		{"the same again", nil, `{"required":["path"],"type":"object"} `, 1, false, 0},
		{"compatible", nil, wide, 2, true, 0},
		{"breaking", nil, narrow, 0, false, -1},
		{"breaking, as a dry run", func(c *registry.TypeChange) { c.DryRun = true }, narrow, 0, false, -1},
		{"forced, as a dry run", func(c *registry.TypeChange) { c.DryRun, c.Force = true, true }, narrow, 3, true, 1},
		{"forced: back to the first", func(c *registry.TypeChange) { c.Force, c.Author = true, "key_2" }, narrow, 3, true, 1},
	}
	for _, step := range steps {
		c := change(step.schema)
		if step.change != nil {
			step.change(&c)
		}
		out, err := r.ChangeType(t.Context(), c)
		var breaking *registry.BreakingError
		if step.breaks < 0 {
			if !errors.As(err, &breaking) || len(breaking.Reasons) != -step.breaks || breaking.InForce != 2 {
				t.Errorf("%s: %v", step.name, err)
			}
			continue
		}
		if err != nil || out.Version != step.version || out.Made != step.made || len(out.Breaks) != step.breaks {
			t.Errorf("%s: %+v, %v", step.name, out, err)
		}
	}
	if err := r.DeleteType(t.Context(), "c", "n"); err != nil {
		t.Fatal(err)
	}
	// A type that ended binds nobody.
	if out, err := r.ChangeType(t.Context(), change(`{"type":"object","required":["path","host"]}`)); err != nil || out.Version != 4 || out.Breaks != nil {
		t.Errorf("after its end: %+v, %v", out, err)
	}
	r.Close()
	versions, err := open(t, js, dir).TypeVersions("c", "n")
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, v := range versions {
		got += fmt.Sprintf("%d %s %s %v %v\n", v.Version, v.Author, v.Schema, v.CreatedAt.IsZero(), v.DeletedAt != nil)
	}
	want := "1 key_1 " + narrow + " false false\n2 key_1 " + wide + " false false\n3 key_2 " + narrow + " false true\n" +
		`4 key_1 {"type":"object","required":["path","host"]} false false` + "\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// However many change a type at once, no version follows one that it breaks without anybody having
// forced it.
func TestChangesAtOnceAreEachCompared(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	nodes := []*registry.Registry{open(t, js, t.TempDir()), open(t, js, t.TempDir())}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			_, err := nodes[i%2].ChangeType(t.Context(), change(fmt.Sprintf(`{"maximum":%d}`, i)))
			var breaking *registry.BreakingError
			if err != nil && !errors.As(err, &breaking) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	versions, err := nodes[0].TypeVersions("c", "n")
	if err != nil || len(versions) == 0 {
		t.Fatal(versions, err)
	}
	last := -1
	for i, v := range versions {
		var maximum int
		if _, err := fmt.Sscanf(string(v.Schema), `{"maximum":%d}`, &maximum); err != nil || maximum <= last || v.Version != uint32(i+1) {
			t.Errorf("version %d is %s after a maximum of %d (%v)", v.Version, v.Schema, last, err)
		}
		last = maximum
	}
}

// An event type that is not found is answered with the one that was probably meant.
func TestNearestType(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	r := open(t, js, t.TempDir())
	for _, name := range [][2]string{{"page interaction", "pageview"}, {"page interaction", "cta click"}, {"form interaction", "submit"}, {"form interaction", "pageviews"}} {
		if _, _, err := putType(t.Context(), r, name[0], name[1], []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.DeleteType(t.Context(), "form interaction", "pageviews"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[[2]string]string{
		{"page interaction", "pageveiw"}:  `event type "page interaction" / "pageveiw" does not exist; did you mean "page interaction" / "pageview"?`,
		{"Page Interaction", "pageview"}:  `event type "Page Interaction" / "pageview" does not exist; did you mean "page interaction" / "pageview"?`,
		{"from interaction", "sumbit"}:    `event type "from interaction" / "sumbit" does not exist; did you mean "form interaction" / "submit"?`,
		{"page interaction", "submit"}:    `event type "page interaction" / "submit" does not exist`,
		{"form interaction", "pageviews"}: `event type "form interaction" / "pageviews" does not exist`, // deleted
		{"page", "view"}:                  `event type "page" / "view" does not exist`,
	} {
		if _, err := r.TypeVersion(name[0], name[1]); !errors.Is(err, registry.ErrNotFound) || err.Error() != want {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
		if err := r.DeleteType(t.Context(), name[0], name[1]); !errors.Is(err, registry.ErrNotFound) || err.Error() != want {
			t.Errorf("%q is deleted: %v, want %s", name, err, want)
		}
	}
}
