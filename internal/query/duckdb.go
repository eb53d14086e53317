package query

import (
	"strings"

	"github.com/huandu/go-sqlbuilder"
)

// DuckDB is the dialect of DuckDB 1.5: data and the lists of problems are
// columns VARCHAR and VARCHAR[], ids are UUID. The zero value is ready.
//
// DuckDB reads numbers before it writes them: where their text counts, to
// Contains and in lists of values, 1e1 is 10.0 and 1.50 is 1.5.
type DuckDB struct{}

// Flavor numbers arguments as $1, $2.
func (DuckDB) Flavor() sqlbuilder.Flavor { return sqlbuilder.PostgreSQL }

// Text returns expr: DuckDB compares text by its bytes.
func (DuckDB) Text(expr string) string { return expr }

// ID casts the text.
func (DuckDB) ID(placeholder string) string { return "CAST(" + placeholder + " AS UUID)" }

// Contains uses the function of that name.
func (DuckDB) Contains(text, part string) string { return "contains(" + text + ", " + part + ")" }

// HasAny looks for common elements of two lists.
func (DuckDB) HasAny(column string, placeholders []string) string {
	return "list_has_any(" + column + ", CAST([" + strings.Join(placeholders, ", ") + "] AS VARCHAR[]))"
}

// Data looks at the value at the path; only where arrays are on the path it
// makes the list of their elements. For text it first looks for the value
// anywhere in data, which is faster than to parse JSON; text with a backslash
// may be written with escapes there and is always parsed.
func (d DuckDB) Data(c Condition, cond *sqlbuilder.Cond) string {
	var before string
	if _, isNumber := c.Number(); c.Operator == Contains || c.Operator == Equal && !isNumber {
		before = `(contains("data", ` + cond.Var(c.Value) + `) OR contains("data", '\')) AND `
	}
	value := "json_extract(\"data\", " + cond.Var(pointer(c.Field.Path)) + ")"
	return "(" + before + "CASE WHEN " + arrayOnPath(c.Field.Path, cond) +
		" THEN len(list_filter(" + elements(c.Field.Path, cond) + ", lambda x: " + duckMatch("x", c, cond) + ")) > 0" +
		" ELSE " + duckMatch(value, c, cond) + " END)"
}

// Elements renders the list of the JSON values at a path, with each element of
// an array on the path, the last key's too, by itself. Nothing there gives an
// empty list or one of NULL.
func (d DuckDB) Elements(path []string, cond *sqlbuilder.Cond) string {
	return "CASE WHEN " + arrayOnPath(path, cond) + " THEN " + elements(path, cond) +
		" ELSE [json_extract(\"data\", " + cond.Var(pointer(path)) + ")] END"
}

// arrayOnPath tells whether the value at the path or at a beginning of it is an
// array. Most data has no bracket at all.
func arrayOnPath(path []string, cond *sqlbuilder.Cond) string {
	var beginnings []string
	for i := range path {
		beginnings = append(beginnings, cond.Var(pointer(path[:i+1])))
	}
	return `contains("data", '[') AND list_contains(json_type("data", [` + strings.Join(beginnings, ", ") + `]), 'ARRAY')`
}

// elements goes down key by key, each time from objects to the values of the key
// and from arrays among these to their elements.
func elements(path []string, cond *sqlbuilder.Cond) string {
	list := `[CAST("data" AS JSON)]`
	for _, key := range path {
		at := "json_extract(x, " + cond.Var(pointer([]string{key})) + ")"
		list = "flatten(list_transform(" + list + ", lambda x: CASE WHEN json_type(x) <> 'OBJECT' THEN []" +
			" WHEN json_type(" + at + ") = 'ARRAY' THEN json_extract(" + at + ", '$$[*]')" +
			" ELSE [" + at + "] END))"
	}
	return list
}

// duckMatch compares one JSON value, NULL when there is none.
//
// json_extract_string gives strings by their content, other values as JSON and
// null as NULL; the cast to VARCHAR gives strings with their quotes, so that only
// numbers become DOUBLE.
func duckMatch(x string, c Condition, cond *sqlbuilder.Cond) string {
	text := "json_extract_string(" + x + ", '$$')"
	literal := "CAST(" + x + " AS VARCHAR)"
	number, isNumber := c.Number()
	asNumber := func() string {
		return "TRY_CAST(" + literal + " AS DOUBLE) " + string(c.Operator) + " " + cond.Var(number)
	}
	switch {
	case c.Operator == Contains:
		return "json_type(" + x + ") NOT IN ('OBJECT', 'ARRAY') AND contains(" + text + ", " + cond.Var(c.Value) + ")"
	case c.Operator == Equal && isNumber:
		return "(" + text + " = " + cond.Var(c.Value) + " OR " + asNumber() + ")"
	case c.Operator == Equal && c.Value == "null":
		return literal + ` IN ('null', '"null"')`
	case c.Operator == Equal && !strings.HasPrefix(c.Value, "{") && !strings.HasPrefix(c.Value, "["):
		return text + " = " + cond.Var(c.Value) // no object or array reads so
	case isNumber:
		return asNumber()
	}
	return "json_type(" + x + ") = 'VARCHAR' AND " + text + " " + string(c.Operator) + " " + cond.Var(c.Value)
}

// pointer writes a path as a JSON Pointer, which DuckDB takes for every key,
// unlike "*" and the empty key of its own paths.
func pointer(path []string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, key := range path {
		b.WriteByte('/')
		b.WriteString(escape.Replace(key))
	}
	return b.String()
}
