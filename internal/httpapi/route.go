package httpapi

import "reflect"

// Doc is what the OpenAPI document says of a route.
type Doc struct {
	ID, Tag, Summary, Text string
	Params                 []Param
	Body                   reflect.Type
	Examples               map[string]any // of the body, by summary
	NDJSON                 string         // an example of the body as application/x-ndjson; "" where that is not read
	Answers                []Answer
	MediaTypes             []string // media types of an answer that is not a JSON document; left out when nil
	Errors                 []int    // statuses answered with problem details, besides those that operation adds
	Hidden                 bool
	Audited                bool // a GET that is in the audit trail when an admin key makes it
}

type Param struct {
	Name, In, Text string // in is "query" when empty
	Required       bool
	Repeatable     bool
	Enum           []string
	Number         bool
}

type Answer struct {
	Status int
	Text   string
	Body   reflect.Type // nil for anything but JSON
}

func schemaOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// Access says who may call a route.
type Access int

const (
	Undeclared Access = iota // serves nobody
	Open                     // everyone
	ForWrite                 // a write key
	ForRead                  // a read key or an admin key
	ForAdmin                 // an admin key
	ForMetrics               // an admin key, or a read key of all applications
)

// Route is one line of the table.
type Route struct {
	Method, Path string
	Access       Access
	Handle       func(*Server, *Call) error
	Doc          Doc
}
