package jsonx

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Place is a position in a JSON text.
type Place struct {
	Offset int // in bytes
	Line   int // from 1
	Column int // in code points, from 1
}

// Locate returns the places of the values at JSON Pointers; the place of a member of an object is
// that of its name. For a value that does not exist, such as a missing property, it returns the
// place of its nearest existing parent. The place is nil for the text as a whole, and for anything
// after the point where the text is no longer JSON. Locate reads the text once; any input is safe.
func Locate(text []byte, pointers []string) []*Place {
	best := make([]string, len(pointers)) // the longest prefix found so far, at the place in found
	found := make([]int, len(pointers))
	d := Lenient(text)
	for {
		end := int(d.InputOffset())
		if _, err := d.ReadToken(); err != nil {
			break
		}
		at := string(d.StackPointer())
		for i, pointer := range pointers {
			if len(at) > len(best[i]) && (at == pointer || strings.HasPrefix(pointer, at+"/")) {
				best[i], found[i] = at, end+len(text[end:])-len(bytes.TrimLeft(text[end:], " \t\r\n,:"))
			}
		}
	}
	places := make([]*Place, len(pointers))
	for i := range pointers {
		if best[i] != "" {
			places[i] = PlaceAt(text, found[i])
		}
	}
	return places
}

// PlaceAt returns the place of a byte of a text, or of its end.
func PlaceAt(text []byte, offset int) *Place {
	line := bytes.LastIndexByte(text[:offset], '\n') + 1
	return &Place{Offset: offset, Line: 1 + bytes.Count(text[:offset], []byte("\n")), Column: 1 + utf8.RuneCount(text[line:offset])}
}
