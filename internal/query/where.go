package query

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/event"
)

// operators in the order in which they are tried: the longest first.
func operators() []Operator {
	return []Operator{NotEqual, LessOrEqual, GreaterOrEqual, Equal, Less, Greater, Contains}
}

const operatorList = "= != < <= > >= ~"

// outsideBareKey contains the bytes that end a key of a path or require quotes around it.
const outsideBareKey = `."=!<>~`

// ParseCondition parses one condition of where for a query of the given kind, such as
// data.form.first_name~Jo or occurred_at>=2021-01-01T00:00:00Z. The value is everything after the
// operator; times become decimal microseconds, ids lower case. Times without a zone are in UTC. The
// error is a text for the author of the condition.
func ParseCondition(text string, kind Kind) (Condition, error) {
	return parseCondition(text, kind, time.UTC)
}

func parseCondition(text string, kind Kind, zone *time.Location) (Condition, error) {
	field, rest, err := cutField(text, kind)
	if err != nil {
		return Condition{}, err
	}
	for _, operator := range operators() {
		if value, ok := strings.CutPrefix(rest, string(operator)); ok {
			c := Condition{Field: field, Operator: operator}
			value, c.Quoted, err = readValue(operator, value)
			if err == nil {
				c.Value, err = normalise(c, value, zone)
			}
			return c, err
		}
	}
	if rest == "" {
		return Condition{}, fmt.Errorf("%q has no operator; use one of %s", text, operatorList)
	}
	return Condition{}, fmt.Errorf("no operator at %q; use one of %s", shorten(rest), operatorList)
}

// readValue removes the quotes from a value. It refuses an unquoted value that looks like a
// mistake. Contains accepts every value as it is.
func readValue(operator Operator, text string) (value string, quoted bool, err error) {
	inner := strings.TrimSpace(text)
	switch {
	case operator == Contains || text == "":
		return text, false, nil
	case text[0] == '"':
		value, rest, err := cutQuoted(text)
		if err == nil && rest != "" {
			err = fmt.Errorf("unexpected %q after the quoted value", shorten(rest))
		}
		return value, true, err
	case inner != text:
		return "", false, fmt.Errorf(`there is a space before or after the value %s: remove it (in a URL, + means a space), or write the value in double quotes, as in ="a "`, shorten(inner))
	case strings.ContainsRune("=<>~", rune(text[0])):
		return "", false, fmt.Errorf(`there is no operator %s%s; use one of %s. Write a value that begins with %s in double quotes, as in %s"%s"`,
			operator, text[:1], operatorList, text[:1], operator, shorten(text))
	case len(text) > 1 && text[0] == '\'' && strings.HasSuffix(text, "'"):
		return "", false, fmt.Errorf("write a value without quotes or in double quotes: %s%s", operator, shorten(strings.Trim(text, "'")))
	}
	return text, false, nil
}

const requiresKey = `data requires a key, as in data.path; write a key with a dot as data."a.b"`

// ParseField parses the name of a field, such as session_id or data.form."a.b". The error is a text
// for the author of the name.
func ParseField(text string, kind Kind) (Field, error) {
	if text == Data {
		return Field{}, errors.New(requiresKey)
	}
	field, rest, err := cutField(text, kind)
	if err == nil && rest != "" {
		err = fmt.Errorf("unexpected %q after the field; write a key with one of %s in double quotes", shorten(rest), outsideBareKey)
	}
	return field, err
}

// cutField parses the field at the beginning of text and returns the rest.
func cutField(text string, kind Kind) (Field, string, error) {
	end := strings.IndexAny(text, outsideBareKey)
	if end < 0 {
		end = len(text)
	}
	name, rest := text[:end], text[end:]
	if name == Data {
		return cutPath(rest)
	}
	if trimmed := strings.TrimSpace(name); trimmed != name && isOwnField(kind, trimmed) {
		return Field{}, "", spaceAround(trimmed)
	}
	if !isOwnField(kind, name) {
		return Field{}, "", fmt.Errorf("unknown field %q; known are %s", shorten(name), fieldList(kind))
	}
	return Field{Name: name}, rest, nil
}

func cutPath(rest string) (Field, string, error) {
	field := Field{Name: Data}
	for strings.HasPrefix(rest, ".") {
		if len(field.Path) == MaxPathSteps {
			return Field{}, "", fmt.Errorf("a path has at most %d keys", MaxPathSteps)
		}
		key, after, err := cutKey(rest[1:])
		if err != nil {
			return Field{}, "", err
		}
		field.Path = append(field.Path, key)
		rest = after
	}
	if field.Path == nil && !strings.HasPrefix(rest, string(Contains)) {
		return Field{}, "", errors.New(requiresKey + ". To search all of it, use data~")
	}
	return field, rest, nil
}

func cutKey(text string) (key, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		return cutQuoted(text)
	}
	end := strings.IndexAny(text, outsideBareKey)
	if end < 0 {
		end = len(text)
	}
	if end == 0 {
		return "", "", errors.New(`a key of data is missing; an empty key is written data.""`)
	}
	if key := text[:end]; strings.TrimSpace(key) != key {
		return "", "", fmt.Errorf("%w, or write the key in double quotes", spaceAround(strings.TrimSpace(key)))
	}
	return text[:end], text[end:], nil
}

func spaceAround(name string) error {
	return fmt.Errorf("there is a space before or after %s: remove it", shorten(name))
}

// cutQuoted parses a JSON string at the beginning of text.
func cutQuoted(text string) (unquoted, rest string, err error) {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			unquoted, err := jsontext.AppendUnquote(nil, text[:i+1])
			if err != nil || bytes.ContainsRune(unquoted, 0) {
				return "", "", fmt.Errorf("%s is not a valid JSON string", shorten(text[:i+1]))
			}
			return string(unquoted), text[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("%s has no closing quote", shorten(text))
}

func isBareKey(key string) bool {
	return key != "" && !strings.ContainsAny(key, outsideBareKey) && strings.TrimSpace(key) == key
}

// normalise checks that the operator and the value are valid for a field, and returns the value in
// the format that stores expect.
func normalise(c Condition, value string, zone *time.Location) (string, error) {
	name, operator := c.Field.Name, c.Operator
	if name == Data && operator != Contains && !c.Quoted && isNumber(value) {
		return value, checkNumber(value)
	}
	kind := typeOf(name)
	if kind == textField {
		return value, nil
	}
	if operator == Contains {
		return "", fmt.Errorf("~ applies to text only, and %s is not text; use one of = != < <= > >=", name)
	}
	switch kind {
	case idField:
		id, ok := event.ParseUUID(value)
		if !ok {
			return "", fmt.Errorf("%s takes a UUID (36 characters); other ids are in client_id", name)
		}
		return id.String(), nil
	case timeField:
		at, err := ParseTime(value, zone)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		return strconv.FormatInt(int64(at), 10), nil
	default:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return "", fmt.Errorf("%s takes a 64-bit integer", name)
		}
		return strconv.FormatInt(n, 10), nil
	}
}

// ParseTime parses a time as the intake does; a time without a zone is in zone. A date alone stands
// for its first moment.
func ParseTime(text string, zone *time.Location) (event.Micros, error) {
	if isNumber(text) {
		if err := checkNumber(text); err != nil { // event.ParseEpoch computes exactly
			return 0, err
		}
		return event.ParseEpoch(text)
	}
	whole := text
	if _, err := time.Parse(time.DateOnly, text); err == nil {
		whole += " 00:00:00"
	}
	at, err := event.ParseTime(whole, zone)
	switch {
	case errors.Is(err, event.ErrUnparsable) && lostPlus(text):
		return 0, fmt.Errorf("%q is not a time; in a URL, write the + of a zone as %%2B", shorten(text))
	case errors.Is(err, event.ErrUnparsable):
		return 0, fmt.Errorf("%q is not a valid time: use RFC 3339, 2006-01-02 15:04:05[.ffffff], 2006-01-02 for its first moment, or a number of s, ms, µs or ns since 1970", shorten(text))
	case err != nil:
		return 0, fmt.Errorf("%q is %w", shorten(text), err)
	}
	return at, nil
}

// lostPlus reports whether text looks like a time whose "+01:00" became " 01:00"
// in a URL.
func lostPlus(text string) bool {
	i := strings.LastIndexByte(text, ' ')
	if i < 0 {
		return false
	}
	_, err := event.ParseTime(text[:i]+"+"+text[i+1:], time.UTC)
	return err == nil
}

// shorten truncates a text, to keep an error readable.
func shorten(text string) string {
	const most = 60
	return event.Truncate(text, most)
}
