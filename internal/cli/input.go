package cli

import (
	"context"
	"io"
	"os"
)

// readInput reads the named file, or standard input if no file or - is named. It returns an error
// when ctx is done, and for a document that is not in UTF-8.
func readInput(ctx context.Context, in io.Reader, names []string) ([]byte, error) {
	var (
		name     = "standard input"
		document []byte
		err      error
	)
	if len(names) == 0 || names[0] == "-" {
		reader := newInterruptibleReader(ctx, in)
		defer reader.Close()
		document, err = io.ReadAll(reader)
	} else {
		name = names[0]
		document, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	return document, checkText(name, document)
}
