package httpapi

import (
	"net/http"
	"reflect"
)

// Access says who may call a route.
type Access int

// Kinds of access.
const (
	Undeclared Access = iota // serves nobody
	Open                     // everyone
	ForWrite                 // a write key
	ForRead                  // a read key or an admin key
	ForAdmin                 // an admin key
	ForMetrics               // an admin key, or a read key of all applications
)

// Route is one line of the table from which the mux and the OpenAPI document are made.
type Route struct {
	Method, Path string
	Access       Access
	// Handle answers a request. If it returns an error before an answer has begun, ProblemOf turns
	// the error into the answer.
	Handle func(*Call) error
	Doc    Doc

	// App is the application to which requests to an open route are attributed; empty for none.
	App string
	// EitherSlash serves the path with and without a trailing slash.
	EitherSlash bool
	// Polled marks a route that the page calls by itself: a request to it does not keep a login from
	// becoming idle.
	Polled bool
	// Refused is called with the error of a refused request before the response is sent, because
	// the body cannot be read afterwards. If it is nil, requests whose key is refused are summed up
	// in the audit log.
	Refused func(*Call, error)
	// Errors is the format of errors; nil means problem details.
	Errors *ErrorForm

	// Audited marks a GET that the audit log records if it uses an admin key.
	Audited bool
	// AuditedOnce names a parameter of an audited route. Requests with a value for which the key
	// has called Call.TakeLease have no entry of their own.
	AuditedOnce string
	// HideSubject keeps what the path names out of the audit log.
	HideSubject bool
}

// ErrorForm is a format of errors other than problem details.
type ErrorForm struct {
	Body  reflect.Type // the JSON document
	Write func(http.ResponseWriter, *ProblemDetails)
}

// Doc is the description of a route in the OpenAPI document.
type Doc struct {
	ID, Tag, Summary, Text string
	Params                 []Param
	Body                   reflect.Type
	Examples               map[string]any // of the body, by summary
	NDJSON                 string         // an example of the body as application/x-ndjson; "" where that is not read
	Answers                []Answer
	MediaTypes             []string // of an answer that is not a JSON document; left out when nil
	Errors                 []int    // statuses of errors, in addition to those that every route has
	Hidden                 bool     // not in the document
}

// Param is a parameter of a route.
type Param struct {
	Name, In, Text string // In is "query" if empty
	Required       bool
	Repeatable     bool
	Enum           []string
	Number         bool
}

// Answer is an answer of a route.
type Answer struct {
	Status int
	Text   string
	Body   reflect.Type // nil for anything but JSON
}

// JSON is an answer with a JSON document.
func JSON[T any](status int, text string) Answer { return Answer{status, text, reflect.TypeFor[T]()} }

// Plain is an answer without a JSON document.
func Plain(status int, text string) Answer { return Answer{status, text, nil} }
