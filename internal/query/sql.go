package query

import (
	"slices"
	"strconv"
	"strings"

	"theeye/internal/event"
)

// Columns that every SQL store has in addition to those named like the own fields. Absent values
// are never NULL: absent text is empty, an absent sent_at is 0, and an absent seq is event.NoSeq.
// Times are in microseconds.
const (
	FrameColumn     = "frame" // Position.Frame
	IndexColumn     = "frame_index"
	CarriedByColumn = "carried_by"
	CodesColumn     = "codes" // of rejections: the codes of the problems, in order
	PointersColumn  = "pointers"
)

// Dialect renders what differs between databases. Everything that comes from a user is bound in
// Args and never becomes part of the SQL text.
type Dialect interface {
	// Text renders an expression of type text so that it is compared by its bytes.
	Text(expr string) string
	// ID renders a bound text as an id.
	ID(placeholder string) string
	// IDs renders a subquery of the ids in a bound list of strings.
	IDs(placeholder string) string
	// Contains renders whether text contains part.
	Contains(text, part string) string
	// HasAny renders whether a column of lists contains any of the bound strings.
	HasAny(column string, placeholders []string) string
	// Data renders a condition on a path of the column data, for any operator except NotEqual. The
	// result may be NULL instead of false.
	Data(c Condition, args *Args) string
}

// Conditions renders q, without After and Limit, as SQL conditions that must all hold. The
// arguments are bound in args, which belongs to the statement.
func Conditions(d Dialect, kind Kind, q Query, args *Args) []string {
	r := renderer{dialect: d, kind: kind, args: args}
	r.anyText(App, q.Apps)
	r.anyID(ID, texts(q.IDs))
	r.anyID(EventID, texts(q.EventIDs))
	r.anyText(SessionID, q.SessionIDs)
	r.anyText(Category, q.Categories)
	r.anyText(Name, q.Names)
	r.anyProblem(CodesColumn, q.Codes)
	r.anyProblem(PointersColumn, q.Pointers)
	at := quote(OccurredAt)
	if kind == Rejections {
		at = quote(ReceivedAt)
	}
	if q.From != nil {
		r.add(at + " >= " + args.Bind(int64(*q.From)))
	}
	if q.To != nil {
		r.add(at + " < " + args.Bind(int64(*q.To)))
	}
	for _, c := range q.Where {
		r.add(r.condition(c))
	}
	if q.Horizon != 0 {
		r.add(quote(CarriedByColumn) + " <= " + args.Bind(q.Horizon))
	}
	return r.conditions
}

// AfterCondition renders the condition that a row comes after q.After in the order of Order. It
// returns "" without After. It does not work for sessions, whose start is an aggregate.
func AfterCondition(kind Kind, q Query, args *Args) string {
	if q.After == nil {
		return ""
	}
	key := q.After.Key
	values := []any{int64(key.OccurredAt), key.Seq, key.Position.Frame, int64(key.Position.Index)}
	if kind == Rejections {
		values = []any{int64(key.OccurredAt), key.Position.Frame, int64(key.Position.Index)}
	}
	operator := " > "
	if q.Descending {
		operator = " < "
	}
	// (a, b) > (x, y) is written a >= x AND (a > x OR b > y): the first part lets a database skip
	// blocks of rows.
	columns := orderColumns(kind)
	var expr string
	for i, name := range slices.Backward(columns) {
		column := quote(name)
		beyond := column + operator + args.Bind(values[i])
		if expr == "" {
			expr = beyond
			continue
		}
		orEqual := operator[:2] + "= "
		expr = column + orEqual + args.Bind(values[i]) + " AND (" + beyond + " OR " + expr + ")"
	}
	return "(" + expr + ")"
}

// Order returns the ORDER BY terms of the total order of event.Key, or of (received_at, position)
// for rejections, exactly reversed if descending.
func Order(kind Kind, descending bool) []string {
	direction := " ASC"
	if descending {
		direction = " DESC"
	}
	var terms []string
	for _, column := range orderColumns(kind) {
		terms = append(terms, quote(column)+direction)
	}
	return terms
}

func orderColumns(kind Kind) []string {
	if kind == Rejections {
		return []string{ReceivedAt, FrameColumn, IndexColumn}
	}
	return []string{OccurredAt, Seq, FrameColumn, IndexColumn}
}

// FieldExpr renders an own field, which is NULL if it is absent.
func FieldExpr(name string) string {
	column := quote(name)
	switch name {
	case SentAt:
		return "NULLIF(" + column + ", 0)"
	case Seq:
		return "NULLIF(" + column + ", " + strconv.FormatInt(event.NoSeq, 10) + ")"
	case ClientID, SessionID, Category, Name, Sender:
		return "NULLIF(" + column + ", '')"
	}
	return column
}

func quote(name string) string { return `"` + name + `"` }

// renderer collects conditions.
type renderer struct {
	dialect    Dialect
	kind       Kind
	args       *Args
	conditions []string
}

func (r *renderer) add(condition string) { r.conditions = append(r.conditions, condition) }

func (r *renderer) anyText(column string, values []string) {
	if values != nil {
		r.add(r.args.In(quote(column), anys(values)...))
	}
}

// maxListedIDs is the maximum number of ids that are separate arguments. More ids become one list,
// because each argument makes planning slower.
const maxListedIDs = 64

func (r *renderer) anyID(column string, ids []string) {
	if ids == nil {
		return
	}
	switch {
	case len(ids) == 0:
		r.add("FALSE")
		return
	case len(ids) > maxListedIDs:
		r.add(quote(column) + " IN (" + r.dialect.IDs(r.args.Bind(anys(ids))) + ")")
		return
	}
	list := make([]string, 0, len(ids))
	for _, id := range ids {
		list = append(list, r.dialect.ID(r.args.Bind(id)))
	}
	r.add(quote(column) + " IN (" + strings.Join(list, ", ") + ")")
}

func (r *renderer) anyProblem(column string, values []string) {
	if values == nil {
		return
	}
	var placeholders []string
	for _, value := range values {
		placeholders = append(placeholders, r.args.Bind(value))
	}
	r.add(r.dialect.HasAny(quote(column), placeholders))
}

// condition renders one condition of where. != is the negation of =, also for absent values, so =
// must be false for them and not NULL.
func (r *renderer) condition(c Condition) string {
	if c.Operator == NotEqual {
		c.Operator = Equal
		return "NOT COALESCE(" + r.positive(c) + ", FALSE)"
	}
	return r.positive(c)
}

func (r *renderer) positive(c Condition) string {
	if c.Field.Name == Data {
		return r.dialect.Data(c, r.args)
	}
	expr := FieldExpr(c.Field.Name)
	var value string
	switch typeOf(c.Field.Name) {
	case timeField, numberField:
		n, err := strconv.ParseInt(c.Value, 10, 64)
		if err != nil {
			return "FALSE" // no number is equal to it
		}
		value = r.args.Bind(n)
	case idField:
		value = r.dialect.ID(r.args.Bind(c.Value))
	default:
		expr = r.dialect.Text(expr)
		value = r.args.Bind(c.Value)
	}
	if c.Operator == Contains {
		return r.dialect.Contains(expr, value)
	}
	return "(" + expr + " " + string(c.Operator) + " " + value + ")"
}

func anys(values []string) []any {
	list := make([]any, len(values))
	for i, value := range values {
		list[i] = value
	}
	return list
}

func texts[T interface{ String() string }](values []T) []string {
	if values == nil {
		return nil
	}
	list := make([]string, len(values))
	for i, value := range values {
		list[i] = value.String()
	}
	return list
}
