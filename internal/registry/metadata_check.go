package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"theeye/internal/durable"
	"theeye/internal/envelope"
)

// CheckDocument reports whether this program can use the content of a metadata.json that has no
// log, as in a backup. Errors: envelope.ErrNewer, envelope.ErrDamaged.
func CheckDocument(b []byte) error {
	f, err := parseFile(b)
	if err == nil && f.Log != "" {
		err = fmt.Errorf("%w: it is that of a server that runs, or was killed, and lacks the changes in %s", envelope.ErrDamaged, f.Log)
	}
	if err != nil {
		return err
	}
	return f.checkVersion()
}

// CheckCopy reports whether the metadata can be rebuilt from its copy in a data directory. It is
// called when the metadata in the queue is damaged; its error says what to do about that.
func CheckCopy(dir string) error {
	name := filepath.Join(dir, metadataName)
	_, there, err := readCopy(dir)
	switch {
	case err == nil && there:
		return nil
	case errors.Is(err, envelope.ErrNewer), durable.Denied(err) && !errors.Is(err, envelope.ErrDamaged):
		return fmt.Errorf("%s cannot be used: %w", name, err)
	case !there:
		err = errors.New("it is missing")
	}
	return fmt.Errorf("the metadata in the queue is damaged, and so keys that were revoked may seem valid again; its copy %s cannot be used: %w. %s", name, err, recoveryAdvice)
}

// recoveryAdvice says what to do if the metadata can be read neither from the queue nor from its
// copy.
const recoveryAdvice = "Put the metadata.json of a backup there (`eye backup extract BACKUP metadata.json FILE`) and revoke again the keys that were revoked since; or, to start without applications and keys, run `eye store recover --forget-metadata --yes`"

func unanswered(dir string, err error) error {
	return fmt.Errorf("the queue did not deliver the metadata in time, as when it is damaged or its disk is slow: %w. Start again; if it stays so, move the folder %s away: "+
		"the metadata is rebuilt from its copy %s", err, bucketDir(dir), filepath.Join(dir, metadataName))
}

func lostError(name string) error {
	return fmt.Errorf("the metadata is lost: neither the queue nor %s has the applications, keys and event types; nothing was changed. "+
		"Put the folder queue or that file back if it was moved. %s", name, recoveryAdvice)
}

func lostAndDamaged(name string, err error) error {
	return fmt.Errorf("the metadata is lost, and its copy %s cannot be read: %w. %s", name, err, recoveryAdvice)
}

// CheckPresent returns an error if a data directory that a server has used has neither a stream of
// metadata nor a copy from which it can be rebuilt. The error says what to do. Open would detect
// this too, but only after the queue has been created.
func CheckPresent(dir string) error {
	if _, err := os.Stat(bucketDir(dir)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	name := filepath.Join(dir, metadataName)
	_, there, err := readCopy(dir)
	if errors.Is(err, envelope.ErrDamaged) {
		return lostAndDamaged(name, err)
	}
	if !there {
		return lostError(name)
	}
	return nil // Open reports other errors
}

// bucketDir returns the folder of the metadata's stream in a data directory.
func bucketDir(dir string) string {
	return filepath.Join(dir, "queue", "jetstream", "$G", "streams", Stream)
}
