package cli

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// inputError is a fault of an input. It completes a sentence that begins with the input's name.
type inputError struct{ fault string }

func (e *inputError) Error() string { return "the input" + e.fault }

const gzipSignature = "\x1f\x8b"

// notUTF8 is the fault of an input in another form of Unicode.
func notUTF8(form string) string {
	return fmt.Sprintf(" is in %s, and JSON is sent in UTF-8: convert it, for example with `iconv -f %[1]s -t UTF-8`", form)
}

// foreign returns what is wrong with an input by its first bytes, nil when it may be JSON in UTF-8. The
// bytes are asked for one after the other, so that a pipe need not have all of them.
func foreign(begins func(with string) bool) *inputError {
	for _, known := range []struct{ signature, fault string }{
		{"\xff\xfe\x00\x00", notUTF8("UTF-32")},
		{"\x00\x00", notUTF8("UTF-32")},
		{"{\x00\x00", notUTF8("UTF-32")},
		{"[\x00\x00", notUTF8("UTF-32")},
		{"\xff\xfe", notUTF8("UTF-16")},
		{"\xfe\xff", notUTF8("UTF-16")},
		{"{\x00", notUTF8("UTF-16")},
		{"[\x00", notUTF8("UTF-16")},
		{"\x00{", notUTF8("UTF-16")},
		{"\x00[", notUTF8("UTF-16")},
		{"PK\x03\x04", " is a zip file, not JSON"},
		{"\x28\xb5\x2f\xfd", " is compressed with zstd; decompress it first"},
		{"BZh", " is compressed with bzip2; decompress it first"},
		{"\xfd7zXZ", " is compressed with xz; decompress it first"},
		{"PAR1", " is a Parquet file, not JSON"},
	} {
		if begins(known.signature) {
			return &inputError{known.fault}
		}
	}
	return nil
}

// checkText returns an error for a document that is not in UTF-8.
func checkText(name string, document []byte) error {
	begins := func(with string) bool { return bytes.HasPrefix(document, []byte(with)) }
	if begins(gzipSignature) {
		return usagef("%s is compressed with gzip; decompress it first", name)
	}
	if fault := foreign(begins); fault != nil {
		return usagef("%s%s", name, fault.fault)
	}
	return nil
}

// beginsWith reports whether an input begins with some bytes, and waits for no more than it takes to
// know.
func beginsWith(r *bufio.Reader, with string) bool {
	for i := range len(with) {
		if head, _ := r.Peek(i + 1); len(head) <= i || head[i] != with[i] {
			return false
		}
	}
	return true
}

// unpacked returns an input as it is, or unpacked when it is packed with gzip. It refuses what is no
// text in UTF-8.
func unpacked(in io.Reader) (io.Reader, error) {
	r := bufio.NewReader(in)
	if beginsWith(r, gzipSignature) {
		packed, err := gzip.NewReader(r)
		if err != nil {
			return nil, gzipFault(err)
		}
		r = bufio.NewReader(gzipReader{packed})
	}
	if fault := foreign(func(with string) bool { return beginsWith(r, with) }); fault != nil {
		return nil, fault
	}
	return r, nil
}

// gzipReader names faults of packed data.
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
