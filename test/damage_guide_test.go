package test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// beforeBlocks has, by the heading of a section of damage.md, what happens before each of its
// blocks of commands. A section begins with a folder of its own, in which nothing is; whole is a
// data directory of two segments with 100 events each.
func beforeBlocks(whole string) map[string][]func(*guide) {
	nothing := func(*guide) {}
	return map[string][]func(*guide){
		"When /readyz reports a problem": {func(g *guide) {
			g.begin(whole)
			g.flush() // else the segment is made again
			g.shutDown()
			g.remove("store/segments/seg-00000001.duckdb")
			g.launch()
			g.tells("eye store readmit")
		}},
		"A damaged segment": {func(g *guide) {
			g.begin(whole)
			g.flush() // else the segment is made again
			g.succeeds("eye backup bk")
			flipBit(g.t, g.segments()[0], 5000)
		}, nothing, func(g *guide) {
			g.shutDown()
			g.remove("store/segments/seg-00000002.duckdb")
			g.launch()
			g.tells("eye store readmit")
		}},
		"Lost frames": {func(g *guide) {
			g.launch()
			g.prepare()
			damagedBlock(g.t, g.server)
		}, nothing, func(g *guide) {
			g.flush()
			for _, session := range []string{"a", "b", "c"} {
				g.post(inSession(session))
			}
			g.kill()
			if err := os.Rename(filepath.Join(g.data, "queue"), filepath.Join(g.dir, "found")); err != nil {
				g.t.Fatal(err)
			}
			g.launch()
		}},
		"A store without its manifest": {func(g *guide) {
			g.begin(whole)
			g.succeeds("eye erase --session s0 --yes")
			g.shutDown()
			g.remove("store/MANIFEST.json")
		}, func(g *guide) {
			g.remove("store/MANIFEST.json")
		}},
		"A damaged file of erasures": {func(g *guide) {
			g.begin(whole)
			g.succeeds("eye erase --session s0 --yes", "eye erase --session s1 --yes", "eye backup bk", "eye erase --session s2 --yes")
			g.shutDown()
			damageLine(g.t, filepath.Join(g.data, "tombstones"), 1)
		}, nothing, func(g *guide) {
			g.remove("tombstones")
		}},
		"Lost metadata": {func(g *guide) {
			g.begin(whole)
			g.succeeds("eye backup bk")
			g.shutDown()
			g.remove("queue/jetstream/$G/streams/KV_EYE_METADATA/msgs", "metadata.json")
		}, nothing, func(g *guide) {
			if err := os.Truncate(filepath.Join(g.data, "metadata.json"), 100); err != nil {
				g.t.Fatal(err)
			}
		}},
		"Metadata without its copy": {func(g *guide) {
			copyDir(g.t, whole, g.data)
			g.remove("metadata.json")
			g.launch()
		}},
		"What is in quarantine": {func(g *guide) {
			g.begin(whole)
			if err := os.WriteFile(filepath.Join(g.data, "queue", "quarantine", "block-EYE_FRAMES-1-found.blk"), make([]byte, 1300), 0o600); err != nil {
				g.t.Fatal(err)
			}
		}},
	}
}

// besideDamage runs each section of damage.md.
func besideDamage(t *testing.T, text string) {
	t.Helper()
	before := beforeBlocks(twoSegments(t).data)
	for _, section := range regexp.MustCompile(`(?m)^##? `).Split(text, -1)[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		t.Run(heading, func(t *testing.T) {
			t.Parallel()
			if want, ran := len(before[heading]), newGuide(t).run(text, before[heading]...); ran != want {
				t.Errorf("the section has %d blocks of commands, and the test knows what was before %d", ran, want)
			}
		})
	}
}

// begin runs a server on a copy of a data directory.
func (g *guide) begin(data string) {
	g.t.Helper()
	copyDir(g.t, data, g.data)
	g.launch()
}

// flush writes all that came into segments, and empties the queue.
func (g *guide) flush() {
	g.t.Helper()
	g.succeeds("eye erase --session nobody --yes")
}

func (g *guide) succeeds(commands ...string) {
	g.t.Helper()
	for _, command := range commands {
		if code, out := g.bash(command); code != 0 {
			g.t.Fatalf("code %d of %s\n%s", code, command, out)
		}
	}
}

// remove removes files of the data directory.
func (g *guide) remove(names ...string) {
	g.t.Helper()
	for _, name := range names {
		name = filepath.Join(g.data, name)
		_, err := os.Stat(name)
		if err := errors.Join(err, os.RemoveAll(name)); err != nil {
			g.t.Fatal(err)
		}
	}
}

// tells waits for /readyz to tell of something.
func (g *guide) tells(what string) {
	g.t.Helper()
	g.eventually("readyz to tell of the damage", func() bool { return strings.Contains(g.reasons(), what) })
}
