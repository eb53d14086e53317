package httpapi

import (
	"fmt"
	"net/http"
	"os"
	"syscall"
	"testing"
)

// A full disk is reported as such, whichever operation failed.
func TestFullDisk(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		err := fmt.Errorf("begin erasure: %w", &os.PathError{Op: "write", Path: "tombstones", Err: full})
		if p := ProblemOf(err); p.Status != http.StatusServiceUnavailable || p.Detail != "the disk of the data directory is full: free some space and try again" {
			t.Errorf("%v is answered with %d %s", err, p.Status, p.Detail)
		}
	}
}
