package test

import (
	"os"
	"path/filepath"
	"testing"
)

// The write keys of the demo end with its server: after a clean shutdown by being revoked, after a
// kill by expiring. The lock file names a process only while that has the directory.
func TestDemoKeysEnd(t *testing.T) {
	t.Parallel()
	s := &server{t: t, data: t.TempDir(), args: []string{"--demo"}}
	for round := 1; round <= 2; round++ {
		s.launch()
		s.eventually("the demo to send with its key", func() bool {
			keys := s.keys("demo")
			return len(keys) == round && keys[round-1]["last_used_at"] != nil
		})
		for _, k := range s.keys("demo") {
			if k["kind"] != "write" || k["expires_at"] == nil {
				t.Errorf("a key of the demo does not expire: %v", k)
			}
		}
		if b, err := os.ReadFile(filepath.Join(s.data, "lock")); err != nil || len(b) == 0 {
			t.Errorf("the lock names nobody: %v", err)
		}
		if round == 1 {
			s.kill()
		}
	}
	s.shutDown()
	if b, err := os.ReadFile(filepath.Join(s.data, "lock")); err != nil || len(b) > 0 {
		t.Errorf("after an ordered end the lock says %s, %v", b, err)
	}
	s.args = nil
	s.launch()
	if keys := s.keys("demo"); len(keys) != 2 || keys[1]["revoked_at"] == nil {
		t.Errorf("after an ordered end the demo's keys are %v", keys)
	}
}
