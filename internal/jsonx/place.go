package jsonx

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Place is where something stands in a JSON text.
type Place struct {
	Offset int // in bytes
	Line   int // from 1
	Column int // in code points, from 1
}

// Locate finds where the values at JSON Pointers stand in a text: a member of an
// object at its name. For what is not there, as a missing property, it is the
// nearest that is. The place is nil for the text as a whole and for what stands
// behind the end of what is JSON. It reads the text once; any input is safe.
func Locate(text []byte, pointers []string) []*Place {
	best := make([]string, len(pointers)) // what was found, at found
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
