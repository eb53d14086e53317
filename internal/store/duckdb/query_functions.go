package duckdb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/duckdb/duckdb-go/v2"

	"theeye/internal/query"
)

// register registers the functions that query.DuckDB uses.
func (i *instance) register(ctx context.Context) (err error) {
	text, err := duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
	if err != nil {
		return err
	}
	truth, err := duckdb.NewTypeInfo(duckdb.TYPE_BOOLEAN)
	if err != nil {
		return err
	}
	texts, err := duckdb.NewListInfo(text)
	if err != nil {
		return err
	}
	conn, err := i.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return errors.Join(
		duckdb.RegisterScalarUDF(conn, query.HoldsFunction, udf{
			duckdb.ScalarFuncConfig{InputTypeInfos: []duckdb.TypeInfo{text, text}, ResultTypeInfo: truth}, holds,
		}),
		duckdb.RegisterScalarUDF(conn, query.ValuesFunction, udf{
			duckdb.ScalarFuncConfig{InputTypeInfos: []duckdb.TypeInfo{text, text}, ResultTypeInfo: texts}, countedValues,
		}),
	)
}

// udf is an SQL function of two texts: data, and a question about it, which parse parses. The
// result is NULL if an argument is.
type udf struct {
	config duckdb.ScalarFuncConfig
	parse  func(question string) (answer func(data []byte) any, err error)
}

func (f udf) Config() duckdb.ScalarFuncConfig { return f.config }

// Executor is called for each chunk of rows. Most rows of a chunk have the same question, so it is
// parsed once.
func (f udf) Executor() duckdb.ScalarFuncExecutor {
	var last string
	var answer func(data []byte) any
	return duckdb.ScalarFuncExecutor{RowExecutor: func(values []driver.Value) (any, error) {
		data, _ := values[0].(string)
		question, _ := values[1].(string)
		if answer == nil || question != last {
			var err error
			if answer, err = f.parse(question); err != nil {
				return nil, fmt.Errorf("parse %q: %w", question, err)
			}
			last = question
		}
		return answer([]byte(data)), nil
	}}
}

func holds(condition string) (func([]byte) any, error) {
	c, err := query.ParseCondition(condition, query.Events)
	return func(data []byte) any { return c.Holds(data) }, err
}

func countedValues(field string) (func([]byte) any, error) {
	f, err := query.ParseField(field, query.Events)
	return func(data []byte) any {
		var tagged []any
		for _, v := range query.CountedAt(data, f.Path) {
			tagged = append(tagged, v.Tagged())
		}
		return tagged
	}, err
}
