package httpapi

import (
	"strconv"

	"theeye/internal/query"
)

// PathID is the parameter {id} of a path.
func PathID(text string) Param { return Param{Name: "id", In: "path", Text: text, Required: true} }

// AppParam is the parameter app of routes that read.
func AppParam() Param {
	return Param{Name: "app", Text: "only these applications (repeatable); for keys that are valid for all applications", Repeatable: true}
}

// TimeZoneParam is the parameter for the zone of times without one.
func TimeZoneParam() Param {
	return Param{Name: query.TimeZoneParam, Text: "the IANA time zone of times that have none, such as Europe/Berlin; by default that of the key's application, or UTC for keys that are valid for all applications"}
}

// LimitParam is the parameter limit of a list.
func LimitParam() Param {
	return Param{Name: "limit", Text: "1 to " + strconv.Itoa(query.MaxLimit) + ", default " + strconv.Itoa(query.DefaultLimit), Number: true}
}

// CursorParam is the parameter cursor of a list.
func CursorParam() Param {
	return Param{Name: "cursor", Text: "next_cursor of the previous page; the other parameters must not change"}
}

// Exact is the name of the parameter that selects one session by its exact id.
const Exact = "exact"

// ExactParam is the parameter Exact.
func ExactParam(required bool) Param {
	return Param{Name: Exact, Required: required, Enum: []string{"1"}, Text: "1: the session with exactly this id"}
}

func (p Param) inQuery() bool { return p.In == "" || p.In == "query" }
