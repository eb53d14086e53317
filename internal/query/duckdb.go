package query

import (
	"math"
	"strings"

	"theeye/internal/jsonx"
)

// DuckDB is the dialect of DuckDB 1.5: data and the lists of problems are columns VARCHAR and
// VARCHAR[], ids are UUID. The zero value is ready to use.
//
// DuckDB reads numbers with a fraction or an exponent as 64-bit floating point, even before it
// compares them as text or writes them. If two such numbers differ, that decides; if they are
// equal, or if the text matters, the functions HoldsFunction and ValuesFunction read data itself.
type DuckDB struct{}

// Functions that a store registers with DuckDB.
const (
	// HoldsFunction (data, condition as String writes it) returns a BOOLEAN: whether
	// Condition.Holds.
	HoldsFunction = "eye_holds"
	// ValuesFunction (data, field as String writes it) returns VARCHAR[]: each of CountedAt
	// as Tagged writes it.
	ValuesFunction = "eye_values"
)

// Tagged writes a value as one text: the first letter of its type, then its text.
func (v Value) Tagged() string { return string(v.Type[:1]) + v.Text }

// Untag reads what Tagged wrote.
func Untag(text string) Value {
	for _, t := range []ValueType{String, NumberType, Boolean, Object, Array} {
		if text != "" && text[0] == t[0] {
			return Value{t, text[1:]}
		}
	}
	return Value{}
}

// Text returns expr: DuckDB compares text by its bytes.
func (DuckDB) Text(expr string) string { return expr }

// ID casts the text.
func (DuckDB) ID(placeholder string) string { return "CAST(" + placeholder + " AS UUID)" }

// IDs casts the texts.
func (DuckDB) IDs(placeholder string) string {
	return "SELECT CAST(unnest(" + placeholder + "::VARCHAR[]) AS UUID)"
}

// Contains uses the function of that name.
func (DuckDB) Contains(text, part string) string { return "contains(" + text + ", " + part + ")" }

// HasAny looks for common elements of two lists.
func (DuckDB) HasAny(column string, placeholders []string) string {
	return "list_has_any(" + column + ", CAST([" + strings.Join(placeholders, ", ") + "] AS VARCHAR[]))"
}

// Data examines the value at the path. It builds the list of elements only if there are arrays on
// the path. For text, it first searches data for the value, which is faster than parsing JSON. A
// value with a backslash may be escaped there, so it is always parsed.
func (d DuckDB) Data(c Condition, args *Args) string {
	if c.Field.Path == nil {
		return d.Contains(`"data"`, args.Bind(c.Value))
	}
	var before string
	if _, isNumber := c.Number(); c.Operator == Contains || c.Operator == Equal && !isNumber {
		before = `(contains("data", ` + args.Bind(c.Value) + `) OR contains("data", '\')) AND `
	}
	// A JSON Pointer works for every key. DuckDB's own paths cannot express "*" and the empty key.
	value := "json_extract(\"data\", " + args.Bind(jsonx.Pointer(c.Field.Path)) + ")"
	return "(" + before + "CASE WHEN " + arrayOnPath(c.Field.Path, args) +
		" THEN len(list_filter(" + elements(c.Field.Path, args) + ", lambda x: " + duckMatch("x", c, args) + ")) > 0" +
		" ELSE " + duckMatch(value, c, args) + " END)"
}

// Values renders a query for the values at a path in the column data. rows is what follows FROM.
// The result has one column v, with values as Tagged writes them, and NULL for values that are not
// counted.
func (d DuckDB) Values(path []string, rows string, args *Args) string {
	const text = "CAST(x AS VARCHAR)"
	exact := ValuesFunction + `("data", ` + args.Bind(Field{Name: Data, Path: path}.String()) + ")"
	return "SELECT unnest(CASE WHEN " + arrayOnPath(path, args) + " THEN " + exact +
		" WHEN json_type(x) = 'VARCHAR' THEN ['s' || json_extract_string(x, '$')]" +
		" WHEN json_type(x) IN ('UBIGINT', 'BIGINT') THEN ['n' || " + text + "]" +
		" WHEN json_type(x) = 'BOOLEAN' THEN ['b' || " + text + "]" +
		" WHEN json_type(x) = 'NULL' THEN [NULL]" +
		" WHEN json_type(x) = 'DOUBLE' AND " + fewDigits + " AND " + text + " NOT IN ('0.0', '-0.0') AND NOT contains(" + text + ", 'e')" +
		" THEN ['n' || regexp_replace(" + text + `, '\.0$', '')]` +
		" ELSE " + exact + " END) AS v" +
		` FROM (SELECT "data", json_extract("data", ` + args.Bind(jsonx.Pointer(path)) + ") AS x FROM " + rows + ") WHERE x IS NOT NULL OR contains(\"data\", '[')"
}

// arrayOnPath renders whether the value at the path, or at a prefix of it, is an array. It first
// looks for a bracket, because most data has none.
func arrayOnPath(path []string, args *Args) string {
	var beginnings []string
	for i := range path {
		beginnings = append(beginnings, args.Bind(jsonx.Pointer(path[:i+1])))
	}
	return `contains("data", '[') AND list_contains(json_type("data", [` + strings.Join(beginnings, ", ") + `]), 'ARRAY')`
}

// elements descends key by key, each time from objects to the values of the key, and from arrays
// among these to their elements.
func elements(path []string, args *Args) string {
	list := `[CAST("data" AS JSON)]`
	for _, key := range path {
		at := "json_extract(x, " + args.Bind(jsonx.Pointer([]string{key})) + ")"
		list = "flatten(list_transform(" + list + ", lambda x: CASE WHEN json_type(x) <> 'OBJECT' THEN []" +
			" WHEN json_type(" + at + ") = 'ARRAY' THEN json_extract(" + at + ", '$[*]')" +
			" ELSE [" + at + "] END))"
	}
	return list
}

// duckMatch compares one JSON value, which is NULL if it is absent.
//
// json_extract_string returns the content of strings, other values as JSON, and null as NULL. The
// cast to VARCHAR keeps the quotes of strings, so that only numbers become DOUBLE.
func duckMatch(x string, c Condition, args *Args) string {
	text := "json_extract_string(" + x + ", '$')"
	literal := "CAST(" + x + " AS VARCHAR)"
	number, isNumber := c.Number()
	switch {
	case c.Operator == Contains && strings.Trim(c.Value, "0123456789.eE+-") == "":
		types := "'DOUBLE'"
		if strings.Contains(c.Value, "-") {
			types += ", 'UBIGINT'" // -0 becomes 0
		}
		return "CASE WHEN json_type(" + x + ") IN ('OBJECT', 'ARRAY') THEN FALSE WHEN json_type(" + x + ") IN (" + types + ") THEN " + exactly(c, args) +
			" ELSE contains(" + text + ", " + args.Bind(c.Value) + ") END"
	case c.Operator == Contains:
		return "json_type(" + x + ") NOT IN ('OBJECT', 'ARRAY') AND contains(" + text + ", " + args.Bind(c.Value) + ")"
	case isNumber:
		return duckNumber(literal, number, c, args)
	case c.Operator == Equal && !c.Quoted && c.Value == "null":
		return literal + ` IN ('null', '"null"')`
	case c.Operator == Equal && !c.Quoted && !strings.HasPrefix(c.Value, "{") && !strings.HasPrefix(c.Value, "["):
		return text + " = " + args.Bind(c.Value) // no object or array has such a text
	}
	return "json_type(" + x + ") = 'VARCHAR' AND " + text + " " + string(c.Operator) + " " + args.Bind(c.Value)
}

// fewDigits is true if no number in data has more than 15 digits. Numbers with so few digits are
// equal exactly if their nearest 64-bit floating point numbers are, except near 0 (IEEE 754-2019,
// 5.12.2).
const fewDigits = `NOT regexp_matches("data", '[0-9.]{16}')`

// duckNumber compares the JSON of a value with a number. The nearest 64-bit floating point numbers
// are equal or in the same order as the numbers; only if they are equal, more is compared. DuckDB
// evaluates an expression once for each time it is written, so one expression serves all rows.
func duckNumber(literal string, n Number, c Condition, args *Args) string {
	equal := "FALSE"
	if c.Operator.Holds(0) {
		equal = "TRUE"
	}
	float := n.Float()
	near := exactly(c, args)
	if len(n.digits) <= 15 && math.Abs(float) >= smallestNormal && !math.IsInf(float, 0) {
		near = "CASE WHEN " + fewDigits + " THEN " + equal + " ELSE " + near + " END"
	}
	plain := n.String() // integers are written like this, except those with an exponent or a fraction
	asNumber := "TRY_CAST(" + literal + " AS DOUBLE)"
	if c.Operator == Equal {
		same := args.Bind(`"` + c.Value + `"`)
		if isInteger(plain) {
			same += ", " + args.Bind(plain)
		}
		return "CASE WHEN " + literal + " IN (" + same + ") THEN TRUE WHEN " + asNumber + " = " + args.Bind(float) + " THEN " + near + " ELSE FALSE END"
	}
	if isInteger(plain) {
		near = "CASE WHEN " + literal + " = " + args.Bind(plain) + " THEN " + equal + " ELSE " + near + " END"
	}
	answers := "[FALSE, NULL, TRUE, FALSE]" // for less, equal, greater, not a number
	if c.Operator.Holds(-1) {
		answers = "[TRUE, NULL, FALSE, FALSE]"
	}
	return "COALESCE(" + answers + "[COALESCE(sign(" + asNumber + " - " + args.Bind(float) + ") + 2, 4)], " + near + ")"
}

func isInteger(number string) bool { return !strings.ContainsAny(number, ".e") }

// smallestNormal is the smallest positive 64-bit floating point number with full precision.
const smallestNormal = 0x1p-1022

// exactly renders the condition as a whole, for all values at the path.
func exactly(c Condition, args *Args) string {
	return HoldsFunction + `("data", ` + args.Bind(c.String()) + ")"
}
