package backup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Fault is a fault of a backup.
type Fault struct {
	File string `json:"file"`
	Text string `json:"text"`
}

// Verify reads a backup and compares it with its index: size and checksum of each file, and each
// frame. It also writes what it reads to progress, unless that is nil. It returns an error only if
// the folder cannot be read as a backup.
func Verify(dir string, progress io.Writer) (Index, []Fault, error) {
	x, err := ReadIndex(dir)
	if err != nil {
		return x, nil, err
	}
	if progress == nil {
		progress = io.Discard
	}
	var faults []Fault
	kinds := map[Kind]int{}
	for _, f := range x.Files {
		kinds[f.Kind]++
		for _, text := range verifyFile(dir, x, f, progress) {
			faults = append(faults, Fault{f.file(), text})
		}
	}
	for _, k := range []Kind{Metadata, Manifest} {
		if kinds[k] != 1 {
			faults = append(faults, Fault{indexName, fmt.Sprintf("lists %d files of the kind %s instead of one", kinds[k], k)})
		}
	}
	return x, faults, nil
}

func verifyFile(dir string, x Index, f File, progress io.Writer) (faults []string) {
	in, err := os.Open(filepath.Join(dir, f.file()))
	if errors.Is(err, os.ErrNotExist) {
		return []string{"is missing"}
	}
	if err != nil {
		return []string{"cannot be read: " + err.Error()}
	}
	defer func() { _ = in.Close() }()
	content := io.TeeReader(newCheckingReader(in, f), progress)
	if f.Kind == Frames {
		faults = verifyFrames(x, content)
	}
	if _, err := io.Copy(io.Discard, content); errors.Is(err, ErrContent) {
		return []string{strings.TrimPrefix(err.Error(), "the content ")} // the frames cannot be read either
	} else if err != nil {
		return []string{"cannot be read: " + err.Error()}
	}
	return faults
}

// verifyFrames reads as many frames as possible.
func verifyFrames(x Index, in io.Reader) (faults []string) {
	t := newTailReader(in)
	for {
		r, err := t.next()
		switch {
		case errors.Is(err, io.EOF):
			return faults
		case err != nil:
			return append(faults, fmt.Sprintf("cannot be read after frame %d: %v", t.last, err))
		case r.Sequence <= x.Flushed || r.Sequence > x.Last:
			faults = append(faults, fmt.Sprintf("has frame %d, which is not one of %d to %d", r.Sequence, x.Flushed+1, x.Last))
		}
		if err := r.Check(); err != nil {
			faults = append(faults, fmt.Sprintf("has a damaged frame: %v; it was already damaged when it was copied, and its events will be counted as lost", err))
		}
	}
}
