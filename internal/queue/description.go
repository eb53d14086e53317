package queue

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/minio/highwayhash"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"theeye/internal/durable"
)

// repairDescription checks the description of a stream: meta.inf, its configuration, and meta.sum,
// the checksum of meta.inf. NATS ignores a stream without these files, and empties its folder when
// a stream of the same name is created. So a description that is missing or damaged, for example by
// a crash between the two writes, is rewritten if the stream has blocks and its configuration is
// known. A damaged meta.inf is quarantined. It reports whether it wrote a description.
func (w *walker) repairDescription(dir string) (wrote bool, err error) {
	name := filepath.Base(dir)
	i := slices.IndexFunc(w.streams, func(c jetstream.StreamConfig) bool { return c.Name == name })
	if i < 0 {
		return false, nil
	}
	if _, err := os.Stat(filepath.Join(dir, server.JetStreamMetaFileKey)); err == nil {
		return false, nil // the stream is encrypted, but not by this program
	}
	reason, err := descriptionDamage(dir)
	if reason == "" || err != nil {
		return false, err
	}
	if _, indexes, err := blocksOf(dir); err != nil || len(indexes) == 0 {
		return false, err
	}
	content, err := description(w.streams[i])
	if err != nil {
		return false, err
	}
	inf, sum := filepath.Join(dir, server.JetStreamMetaFile), filepath.Join(dir, server.JetStreamMetaFileSum)
	moved, err := durable.QuarantineIn(w.dir, inf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("quarantine a damaged description: %w", err)
	}
	if err = durable.Replace(inf, bytes.NewReader(content)); err == nil {
		err = durable.Replace(sum, bytes.NewReader(descriptionSum(name, content)))
	}
	if err != nil {
		return false, fmt.Errorf("rewrite its description: %w; free disk space or make the folder writable, and start again", err)
	}
	w.log.Warn("the description of a stream of the queue was missing or damaged; it was rewritten", "stream", name, "reason", reason, "moved_to", moved)
	return true, nil
}

// descriptionDamage says what is wrong with the description of a stream. It returns an empty text
// for an intact one.
func descriptionDamage(dir string) (string, error) {
	var files [2][]byte
	for i, name := range []string{server.JetStreamMetaFile, server.JetStreamMetaFileSum} {
		var err error
		files[i], err = os.ReadFile(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return name + " is missing", nil
		case errors.Is(err, syscall.EIO):
			return "the disk cannot read " + name, nil
		case err != nil:
			return "", err
		}
	}
	if !bytes.Equal(files[1], descriptionSum(filepath.Base(dir), files[0])) {
		return "its checksum does not match", nil
	}
	return "", nil
}

// description returns the content of meta.inf for a stream. It omits the first sequence: NATS would
// remove all frames if the stream begins with a smaller one.
func description(c jetstream.StreamConfig) ([]byte, error) {
	c.FirstSeq = 0
	b, err := jsonv1.Marshal(c) // the form of encoding/json, with which NATS reads it
	if err != nil {
		return nil, fmt.Errorf("describe the stream %s: %w", c.Name, err)
	}
	return b, nil
}

// descriptionSum returns the content of meta.sum for that of meta.inf.
func descriptionSum(stream string, content []byte) []byte {
	key := sha256.Sum256([]byte(stream))
	sum, err := highwayhash.New64(key[:])
	if err != nil { // only for a key of another length
		panic(err)
	}
	_, _ = sum.Write(content)
	return []byte(hex.EncodeToString(sum.Sum(nil)))
}
