// Package examples embeds the event types that the bench and the guides share. The JSON files beside it are the source.
package examples

import (
	_ "embed"

	"github.com/go-json-experiment/json/jsontext"
)

//go:embed types/page%20interaction/pageview.json
var pageview []byte

//go:embed types/page%20interaction/cta%20click.json
var ctaClick []byte

//go:embed types/form%20interaction/submit.json
var submit []byte

// Type is an event type and the JSON Schema of its data.
type Type struct {
	Category, Name string
	Schema         jsontext.Value
}

// Types returns the three event types of the challenge. The caller must not
// change the schemas.
func Types() []Type {
	return []Type{
		{"page interaction", "pageview", pageview},
		{"page interaction", "cta click", ctaClick},
		{"form interaction", "submit", submit},
	}
}
