package cli

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"theeye/internal/jsonx"
)

// inputError is a fault of an input. Its text completes a sentence that begins with the input's
// name.
type inputError struct{ fault string }

func (e *inputError) Error() string { return "the input" + e.fault }

// notUTF8 returns the fault of an input in another encoding of Unicode.
func notUTF8(form string) string {
	return fmt.Sprintf(" is in %s, and JSON is sent in UTF-8: convert it, for example with `iconv -f %[1]s -t UTF-8`", form)
}

// foreign returns what is wrong with an input that cannot be JSON in UTF-8. It returns nil if the
// input may be JSON or is compressed with gzip.
func foreign(form jsonx.Form) *inputError {
	switch {
	case form == "" || form == jsonx.Gzip:
		return nil
	case form.IsText():
		return &inputError{notUTF8(string(form))}
	case form == jsonx.Zip || form == jsonx.Parquet:
		return &inputError{fmt.Sprintf(" is a %s file, not JSON", form)}
	}
	return &inputError{fmt.Sprintf(" is compressed with %s; decompress it first", form)}
}

// checkText returns an error for a document that is not in UTF-8.
func checkText(name string, document []byte) error {
	form := formOf(bufio.NewReader(bytes.NewReader(document)))
	if form == jsonx.Gzip {
		return usagef("%s is compressed with gzip; decompress it first", name)
	}
	if fault := foreign(form); fault != nil {
		return usagef("%s%s", name, fault.fault)
	}
	return nil
}

// beginsWith reports whether an input begins with the given bytes. It waits for no more input than
// it needs.
func beginsWith(r *bufio.Reader, with string) bool {
	for i := range len(with) {
		if head, _ := r.Peek(i + 1); len(head) <= i || head[i] != with[i] {
			return false
		}
	}
	return true
}

// formOf detects the form of an input from its first bytes. It waits for no more input than it
// needs.
func formOf(r *bufio.Reader) jsonx.Form {
	return jsonx.DetectForm(func(i int) (byte, bool) {
		head, _ := r.Peek(i + 1)
		if len(head) <= i {
			return 0, false
		}
		return head[i], true
	})
}

// unpacked returns an input, decompressed if it is in gzip. It refuses input that is not text in
// UTF-8.
func unpacked(in io.Reader) (io.Reader, error) {
	r := bufio.NewReader(in)
	form := formOf(r)
	if form == jsonx.Gzip {
		packed, err := gzip.NewReader(r)
		if err != nil {
			return nil, gzipFault(err)
		}
		r = bufio.NewReader(gzipReader{packed})
		form = formOf(r)
	}
	if fault := foreign(form); fault != nil {
		return nil, fault
	}
	return r, nil
}

// gzipReader turns the errors of a gzip.Reader into faults of the input.
type gzipReader struct{ packed *gzip.Reader }

// Read implements io.Reader.
func (g gzipReader) Read(p []byte) (int, error) {
	n, err := g.packed.Read(p)
	return n, gzipFault(err)
}

func gzipFault(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &inputError{": the gzip data ends early"}
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return &inputError{fmt.Sprintf(": the gzip data is damaged (%s)", err)}
	}
	return err
}
