package duckdb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// Series implements store.Reader. A series by status cannot have conditions on fields, because a
// rejected arrival may have no fields.
func (s *Store) Series(ctx context.Context, q query.Query, spec store.Series) ([]store.Point, error) {
	return queryWithRecovery(ctx, s, q, func(p *pinned, q query.Query) ([]store.Point, error) {
		return p.series(ctx, q, spec)
	})
}

func (p *pinned) series(ctx context.Context, q query.Query, spec store.Series) ([]store.Point, error) {
	steps := spec.Steps()
	if steps.Width == 0 {
		return nil, fmt.Errorf("a series has no interval %q", spec.Interval)
	}
	b := newBuilder()
	var from, group string
	at := "occurred_at"
	switch spec.Group {
	case store.ByStatus:
		if len(q.Where) > 0 {
			return nil, errors.New("a series by status has no conditions on fields")
		}
		from, group, at = p.arrivalRows(q, b), "status", "received_at"
	case store.ByNothing:
		group = "''"
	case store.ByCategory:
		group = "category"
	case store.ByName:
		group = "name"
	case store.ByApp:
		group = "app"
	default:
		return nil, fmt.Errorf("a series has no group %q", spec.Group)
	}
	if from == "" {
		from = "FROM " + p.selected(eventTable, query.Events, q, b)
	}
	span := [2]event.Micros{event.Earliest, event.Latest}
	if q.From != nil {
		span[0] = *q.From
	}
	if q.To != nil {
		span[1] = *q.To
	}
	part := strconv.FormatInt(int64(steps.Part(span[0], span[1])), 10)
	text := "SELECT " + group + " AS g, " + at + " - " + at + " % " + part + " AS t, count(*) " + from + " GROUP BY g, t ORDER BY g, t"
	var points []store.Point
	var wide error
	_, err := queryAll(ctx, p.store, b.build("series", text), func(scan scanner) (none struct{}, err error) {
		var p store.Point
		if err = scan(&p.Group, &p.At, &p.Count); err != nil {
			return none, err
		}
		p.At = steps.Begin(p.At)
		if last := len(points) - 1; last >= 0 && points[last].Group == p.Group && points[last].At == p.At {
			points[last].Count += p.Count
			return none, nil
		}
		if points = append(points, p); len(points) > spec.MaxPoints {
			wide = fmt.Errorf("%w: more than %d points: narrow from and to, choose a wider interval, or filter the groups", store.ErrTooWide, spec.MaxPoints)
		}
		return none, wide
	})
	if wide != nil {
		return nil, wide
	}
	return points, err
}

// arrivalRows renders the arrivals that q selects by received_at, with their fates.
func (p *pinned) arrivalRows(q query.Query, b builder) string {
	statuses := map[string]string{
		eventTable: quoted(event.Stored.String()), rejectionTable: quoted(event.Rejected.String()), residueTable: fateName(),
	}
	var selects []string
	for _, table := range dataTables() {
		selects = append(selects, "SELECT "+statuses[table]+" AS status, received_at FROM "+p.selected(table, query.Rejections, q, b))
	}
	return "FROM (" + strings.Join(selects, " UNION ALL ") + ")"
}

// fateName renders the name of a residue's fate.
func fateName() string {
	var cases []string
	for _, fate := range []event.Fate{event.Rejected, event.Duplicate, event.Erased, event.Expired} {
		cases = append(cases, fmt.Sprintf("WHEN %d THEN %s", fate, quoted(fate.String())))
	}
	return "CASE fate " + strings.Join(cases, " ") + " END"
}

// Values implements store.Reader.
func (s *Store) Values(ctx context.Context, q query.Query, f query.Field) (store.Values, error) {
	return queryWithRecovery(ctx, s, q, func(p *pinned, q query.Query) (store.Values, error) {
		return p.values(ctx, q, f)
	})
}

func (p *pinned) values(ctx context.Context, q query.Query, f query.Field) (store.Values, error) {
	b := newBuilder()
	var values string
	if f.Name == query.Data {
		values = query.DuckDB{}.Values(f.Path, p.selected(eventTable, query.Events, q, b), b.Args)
	} else {
		values = "SELECT " + quoted(query.Value{Type: f.Type()}.Tagged()) + " || CAST(" + query.FieldExpr(f.Name) + " AS VARCHAR) AS v FROM " +
			p.selected(eventTable, query.Events, q, b)
	}
	text := "SELECT v, count(*) AS n, CAST(sum(count(*)) OVER () AS BIGINT) FROM (" + values + ") WHERE v IS NOT NULL GROUP BY v ORDER BY n DESC, v[2:], v" + limit(q.Limit)
	type row struct {
		store.Value
		total int64
	}
	rows, err := queryAll(ctx, p.store, b.build("values", text), func(scan scanner) (r row, err error) {
		var tagged string
		err = scan(&tagged, &r.Count, &r.total)
		v := query.Untag(tagged)
		r.Type, r.Value.Value = v.Type, v.Text
		return r, err
	})
	if err != nil || len(rows) == 0 {
		return store.Values{}, err
	}
	v := store.Values{Other: rows[0].total}
	top := store.NewPager(q, (*store.Value).Size)
	for _, r := range rows {
		if !top.Add(r.Value) {
			break
		}
		v.Other -= r.Count
	}
	v.Top = top.Items
	return v, nil
}

// Receipt implements store.Reader. Arrivals are ordered by the frame that carried them, because a
// replay has the position of the rejection that it replays.
func (s *Store) Receipt(ctx context.Context, q query.Query, n int) ([]store.Arrival, error) {
	return queryWithRecovery(ctx, s, q, func(p *pinned, q query.Query) ([]store.Arrival, error) {
		return p.receipt(ctx, q, n)
	})
}

func (p *pinned) receipt(ctx context.Context, q query.Query, n int) ([]store.Arrival, error) {
	b := newBuilder()
	// In rejections and residues, the event's id is in another column than in events.
	byEvent := q
	byEvent.IDs, byEvent.EventIDs = nil, q.IDs
	const columns = "app, event_id, client_id, received_at, frame, frame_index, carried_by, fate"
	rows := "(" +
		fmt.Sprintf("SELECT app, id AS event_id, client_id, received_at, carried_by, frame, frame_index, %d AS fate, '' AS problems FROM ", event.Stored) +
		p.selected(eventTable, query.Events, q, b) +
		fmt.Sprintf(" UNION ALL SELECT app, event_id, client_id, received_at, carried_by, frame, frame_index, %d, problems FROM ", event.Rejected) +
		p.selected(rejectionTable, query.Rejections, byEvent, b) +
		" UNION ALL SELECT app, event_id, client_id, received_at, carried_by, frame, frame_index, fate, problems FROM " +
		p.selected(residueTable, query.Rejections, byEvent, b) +
		")"
	// The sizes are summed up first, so that only the problems that fit are read.
	const newestFirst = "carried_by DESC, frame DESC, frame_index DESC"
	newest := "(SELECT " + columns + ", problems, strlen(problems) AS size FROM " + rows + " ORDER BY " + newestFirst + limit(n) + ")"
	summed := "(SELECT " + columns + ", problems, sum(size) OVER (ORDER BY " + newestFirst + ") - size AS before FROM " + newest + ")"
	text := "SELECT " + columns + ", problems FROM " + summed + " WHERE before <= " + b.Bind(pageBytes(q)) + " ORDER BY " + newestFirst
	q.Limit = n
	lines := store.NewPager(q, (*store.Arrival).Size)
	arrivals, err := queryAll(ctx, p.store, b.build("receipt", text), func(scan scanner) (a store.Arrival, err error) {
		var problems string
		var fate int
		err = scan(&a.App, &a.EventID, &a.ClientID, &a.ReceivedAt, &a.Position.Frame, &a.Position.Index, &a.CarriedBy, &fate, &problems)
		if err == nil {
			a.Fate = event.Fate(fate)
			a.Problems, err = parseProblems(problems)
		}
		return a, err
	})
	lines.AddAll(arrivals)
	return lines.Items, err
}
