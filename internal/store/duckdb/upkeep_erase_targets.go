package duckdb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/store/duckdb/filter"
)

// eraseTarget is what is to be erased from one segment: a session of an application, or, without a
// session, rows of the application.
type eraseTarget struct {
	app, session                 string
	cover                        erasure.Cover
	events, rejections, residues int64
}

// coveredBy reports whether a set covers any of the target.
func (tg eraseTarget) coveredBy(set *erasure.Set) bool {
	if tg.session == "" {
		return !set.Cover(tg.app, "").Empty()
	}
	return !set.Cover(tg.app, tg.session).SessionOnly().Empty()
}

// findTargets finds the targets of a set in a segment.
func (s *Store) findTargets(ctx context.Context, set *erasure.Set, seg *segment) ([]eraseTarget, error) {
	condition, some := s.erasureCondition(set, seg)
	if !some {
		return nil, nil
	}
	b := newBuilder()
	var selects []string
	for _, table := range []string{sessionTable, rejectionTable, residueTable} {
		selects = append(selects, "SELECT app, session_id FROM "+seg.table(table)+condition(b))
	}
	unique := map[eraseTarget]bool{}
	_, err := queryAll(ctx, s, b.build("erase", "SELECT DISTINCT app, session_id FROM ("+strings.Join(selects, " UNION ALL ")+")"), func(scan scanner) (none struct{}, err error) {
		var tg eraseTarget
		if err := scan(&tg.app, &tg.session); err != nil {
			return none, err
		}
		if tg.cover = set.Cover(tg.app, ""); !tg.cover.Empty() {
			unique[eraseTarget{app: tg.app, cover: tg.cover}] = true
		}
		if tg.session != "" {
			if tg.cover = set.Cover(tg.app, tg.session).SessionOnly(); !tg.cover.Empty() {
				unique[tg] = true
			}
		}
		return none, nil
	})
	if err != nil {
		return nil, err
	}
	var targets []eraseTarget
	for _, group := range groupTargets(slices.Collect(maps.Keys(unique))) {
		found, err := s.countTargets(ctx, seg, group)
		if err != nil {
			return nil, err
		}
		targets = append(targets, found...)
	}
	return targets, nil
}

// countTargets returns the targets of a group of which a segment has rows, with the number of rows.
func (s *Store) countTargets(ctx context.Context, seg *segment, group targetGroup) ([]eraseTarget, error) {
	found := map[string]*eraseTarget{}
	for table, n := range map[string]func(*eraseTarget) *int64{
		eventTable:     func(tg *eraseTarget) *int64 { return &tg.events },
		rejectionTable: func(tg *eraseTarget) *int64 { return &tg.rejections },
		residueTable:   func(tg *eraseTarget) *int64 { return &tg.residues },
	} {
		text := "SELECT app, count(*) FROM " + rowsOf([]*segment{seg})(table) + " WHERE " + group.condition(table) + " GROUP BY app"
		if _, err := queryAll(ctx, s, statement{kind: "erase", text: text}, func(scan scanner) (none struct{}, err error) {
			var app string
			var count int64
			if err := scan(&app, &count); err != nil {
				return none, err
			}
			if found[app] == nil {
				found[app] = &eraseTarget{app: app, session: group.session, cover: group.cover}
			}
			*n(found[app]) = count
			return none, nil
		}); err != nil {
			return nil, err
		}
	}
	var targets []eraseTarget
	for _, tg := range found {
		targets = append(targets, *tg)
	}
	return targets, nil
}

// targetGroup is targets that differ in the application only, so that one condition finds them: an
// erasure in all applications makes one.
type targetGroup struct {
	session string
	cover   erasure.Cover
	apps    []string
}

func groupTargets(targets []eraseTarget) []targetGroup {
	type same struct {
		session string
		cover   erasure.Cover
	}
	apps := map[same][]string{}
	for _, tg := range targets {
		key := same{tg.session, tg.cover}
		apps[key] = append(apps[key], tg.app)
	}
	rows := make([]targetGroup, 0, len(apps))
	for key, names := range apps {
		slices.Sort(names)
		rows = append(rows, targetGroup{key.session, key.cover, names})
	}
	return rows
}

// erasureCondition returns the condition of rows of a segment that a set may cover, and whether
// there may be any. A hash does not reveal its session: where a session is not known, because the
// tombstone was added before the start, any row may be covered.
func (s *Store) erasureCondition(set *erasure.Set, seg *segment) (condition func(builder) string, some bool) {
	all := func(builder) string { return "" }
	apps, sessions := []any{}, []any{}
	var keys []uint64
	for _, t := range set.Tombstones() {
		known, _ := s.erasing.Load(t.Session)
		session, ok := known.(string)
		switch {
		case t.OfApp() && t.App != erasure.AllApps:
			if seg.hasApp([]string{t.App}) {
				apps = append(apps, t.App)
			}
		case !ok:
			return all, true
		default:
			sessions, keys = append(sessions, session), append(keys, filter.SessionKey(session))
		}
	}
	if slices, others := seg.slicesOfSessions(keys); len(slices) == 0 && !others {
		sessions = nil
	}
	if len(apps)+len(sessions) == 0 {
		return all, false
	}
	return func(b builder) string {
		return " WHERE app IN (SELECT unnest(" + b.Bind(apps) + "::VARCHAR[])) OR session_id IN (SELECT unnest(" + b.Bind(sessions) + "::VARCHAR[]))"
	}, true
}

// condition renders that a row of a table is to be erased.
func (group targetGroup) condition(table string) string {
	b := group.cover.Bounds()
	apps := make([]string, len(group.apps))
	for i, app := range group.apps {
		apps[i] = quoted(app)
	}
	list := strings.Join(apps, ", ")
	if group.session == "" {
		text := fmt.Sprintf("(app IN (%s) AND (carried_by <= %d", list, b.AppFrame)
		if b.App > 0 {
			text += fmt.Sprintf(" OR received_at <= %d", int64(b.App))
		}
		return text + "))"
	}
	return fmt.Sprintf("(session_id = %s AND app IN (%s) AND (carried_by <= %d OR %s <= %d))",
		quoted(group.session), list, b.SessionFrame, ownTime(table), int64(b.Session))
}

// redactedColumns are the columns of a residue between the event's id and the fate, without
// anything that was sent.
const redactedColumns = "'' AS client_id, '' AS session_id, '' AS category, '' AS name, received_at, frame, frame_index, carried_by, "

// withoutTargets returns the source of rows without those to be erased, and with their residues.
func withoutTargets(rows source, targets []eraseTarget) source {
	together := groupTargets(targets)
	condition := func(table string) string {
		terms := make([]string, len(together))
		for i, group := range together {
			terms[i] = group.condition(table)
		}
		return "(" + strings.Join(terms, " OR ") + ")"
	}
	return func(table string) string {
		text := "(SELECT " + columnsOf(table) + " FROM " + rows(table) + " WHERE NOT " + condition(table)
		if table != residueTable {
			return text + ")"
		}
		return text +
			" UNION ALL SELECT app, event_id, " + redactedColumns + "fate, '' AS problems FROM " + rows(residueTable) + " WHERE " + condition(residueTable) +
			fmt.Sprintf(" UNION ALL SELECT app, id, %s%d::UTINYINT, '' FROM ", redactedColumns, event.Erased) + rows(eventTable) + " WHERE " + condition(eventTable) +
			fmt.Sprintf(" UNION ALL SELECT app, event_id, %s%d::UTINYINT, '' FROM ", redactedColumns, event.Erased) + rows(rejectionTable) + " WHERE " + condition(rejectionTable) + ")"
	}
}
