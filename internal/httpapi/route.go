package httpapi

import "reflect"

// doc is what the OpenAPI document says of a route.
type doc struct {
	id, tag, summary, text string
	params                 []param
	body                   reflect.Type
	examples               map[string]any // of the body, by summary
	lines                  string         // an example of the body as application/x-ndjson; "" where that is not read
	answers                []answer
	answerTypes            []string // media types of an answer that is not a JSON document; left out when nil
	errors                 []int    // statuses answered with problem details, besides those that operation adds
	hidden                 bool
	audited                bool // a GET that is in the audit trail when an admin key makes it
}

type param struct {
	name, in, text string // in is "query" when empty
	required       bool
	repeatable     bool
	enum           []string
	number         bool
}

type answer struct {
	status int
	text   string
	body   reflect.Type // nil for anything but JSON
}

func schemaOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// access says who may call a route.
type access int

const (
	undeclared access = iota // serves nobody
	open                     // everyone
	forWrite                 // a write key
	forRead                  // a read key or an admin key
	forAdmin                 // an admin key
	forMetric                // an admin key, or a read key of all applications
)

// route is one line of the table.
type route struct {
	method, path string
	access       access
	handle       func(*Server, *call) error
	doc          doc
}
