package replay

import "github.com/go-json-experiment/json/jsontext"

// Apply applies a patch to a body.
func Apply(text jsontext.Value, body []byte) ([]byte, error) {
	p, err := parsePatch(text)
	if err != nil {
		return nil, err
	}
	return p.apply(body)
}
