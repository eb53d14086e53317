package clock

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"theeye/internal/durable"
)

// fileVersion is the version of the file that is written. The first line of the file is a JSON
// object, the second the CRC-32C of the first without its line feed.
const fileVersion = 1

type document struct {
	Version int       `json:"version"`
	Kept    time.Time `json:"kept"`
	System  time.Time `json:"system"`
	Waited  int64     `json:"waited_seconds"`
}

// read returns the state in a file, and whether the file exists.
func read(name string, log *slog.Logger) (s state, found bool, err error) {
	b, err := durable.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil && !errors.Is(err, syscall.EIO) {
		return s, false, fmt.Errorf("read retention's clock: %w", err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	var d document
	whole := bytes.Equal(b, sealed(line)) && json.Unmarshal(line, &d) == nil
	if !whole {
		log.Warn("the file of retention's clock is damaged; nothing expires until the system's clock is believed", "file", name)
		return unknownState(), true, nil
	}
	if d.Version > fileVersion {
		return s, false, fmt.Errorf("read retention's clock: %s was written by a newer version of The Eye", name)
	}
	return state{d.Kept, d.System, time.Duration(d.Waited) * time.Second}, true, nil
}

func (s *state) write(name string) error {
	line, err := json.Marshal(document{fileVersion, s.Kept, s.System, int64(s.Waited / time.Second)})
	if err == nil {
		err = durable.Replace(name, bytes.NewReader(sealed(line)))
	}
	if err != nil {
		return fmt.Errorf("keep retention's clock: %w", err)
	}
	return nil
}

// sealed returns a line with its checksum.
func sealed(line []byte) []byte {
	return fmt.Appendf(nil, "%s\ncrc32c %08x\n", line, durable.Checksum(line))
}
