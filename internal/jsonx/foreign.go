package jsonx

// Form is a form of data that cannot be JSON in UTF-8.
type Form string

// The forms that are detected.
const (
	UTF16   Form = "UTF-16"
	UTF32   Form = "UTF-32"
	Gzip    Form = "gzip"
	Zstd    Form = "zstd"
	Bzip2   Form = "bzip2"
	XZ      Form = "xz"
	Zip     Form = "zip"
	Parquet Form = "Parquet"
)

// IsText reports whether the form is text in another encoding.
func (f Form) IsText() bool { return f == UTF16 || f == UTF32 }

// DetectForm returns the form of data that cannot be JSON in UTF-8, or "" for other data. It looks
// at the first bytes. It recognises UTF-16 and UTF-32 also by the zeros next to ASCII characters
// (RFC 4627, section 3). byteAt returns the byte at an index, and false after the end. DetectForm
// requests only the bytes it needs, so a reader need not wait for others.
func DetectForm(byteAt func(index int) (byte, bool)) Form {
	begins := func(with string) bool {
		for i := range len(with) {
			if b, ok := byteAt(i); !ok || b != with[i] {
				return false
			}
		}
		return true
	}
	// zeros reports whether exactly those bytes are zero that are 0 in the pattern. A pattern of
	// fewer than four bytes must match the whole text.
	zeros := func(pattern string) bool {
		for i := range len(pattern) {
			if b, ok := byteAt(i); !ok || (b == 0) != (pattern[i] == '0') {
				return false
			}
		}
		if len(pattern) == 4 {
			return true
		}
		_, more := byteAt(len(pattern))
		return !more
	}
	for _, known := range [...]struct { // arrays, because this runs for every request and must not allocate
		form       Form
		signatures [2]string
		zeros      [4]string
	}{
		{form: Gzip, signatures: [2]string{"\x1f\x8b"}},
		{form: Zstd, signatures: [2]string{"\x28\xb5\x2f\xfd"}},
		{UTF32, [2]string{"\xff\xfe\x00\x00", "\x00\x00\xfe\xff"}, [4]string{"000x", "x000"}},
		{UTF16, [2]string{"\xff\xfe", "\xfe\xff"}, [4]string{"0x0x", "x0x0", "0x", "x0"}},
		{form: Zip, signatures: [2]string{"PK\x03\x04"}},
		{form: Bzip2, signatures: [2]string{"BZh"}},
		{form: XZ, signatures: [2]string{"\xfd7zXZ"}},
		{form: Parquet, signatures: [2]string{"PAR1"}},
	} {
		for _, signature := range known.signatures {
			if signature != "" && begins(signature) {
				return known.form
			}
		}
		for _, pattern := range known.zeros {
			if pattern != "" && zeros(pattern) {
				return known.form
			}
		}
	}
	return ""
}

// ForeignForm names the form of a body that cannot be JSON in UTF-8: gzip, zstd, UTF-16 or UTF-32.
// It returns "" for other bodies.
func ForeignForm(body []byte) string {
	form := DetectForm(func(i int) (byte, bool) {
		if i >= len(body) {
			return 0, false
		}
		return body[i], true
	})
	if form.IsText() || form == Gzip || form == Zstd {
		return string(form)
	}
	return ""
}
