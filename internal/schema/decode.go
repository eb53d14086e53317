package schema

import (
	"bytes"
	stdjson "encoding/json"

	"github.com/go-json-experiment/json/jsontext"
)

// Decode decodes JSON into the form that Check accepts; numbers keep their literals. If the text is
// not strict JSON, everything after the first fault is left out.
func Decode(data jsontext.Value) any {
	return decodeValue(jsontext.NewDecoder(bytes.NewBuffer(data)))
}

func decodeValue(d *jsontext.Decoder) any {
	token, err := d.ReadToken()
	if err != nil {
		return nil
	}
	switch token.Kind() {
	case '{':
		object := map[string]any{}
		for d.PeekKind() == '"' {
			name, err := d.ReadToken()
			if err != nil {
				return object
			}
			key := name.String()
			object[key] = decodeValue(d)
		}
		_, _ = d.ReadToken()
		return object
	case '[':
		array := []any{}
		for kind := d.PeekKind(); kind != ']' && kind != 0; kind = d.PeekKind() {
			array = append(array, decodeValue(d))
		}
		_, _ = d.ReadToken()
		return array
	case '"':
		return token.String()
	case '0':
		return stdjson.Number(token.String())
	case 't', 'f':
		return token.Bool()
	}
	return nil
}
