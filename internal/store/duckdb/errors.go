package duckdb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"theeye/internal/store"
)

// storeError tells what an error of DuckDB means to the caller: that ctx ended,
// that trying again may help (store.ErrUnavailable), or that something is wrong.
func storeError(ctx context.Context, what string, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case isTemporary(err):
		// DuckDB's further lines are advice about settings that are locked.
		text, _, _ := strings.Cut(err.Error(), "\n")
		return fmt.Errorf("%w: %s: %s", store.ErrUnavailable, what, text)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// isTemporary reports whether an error comes from a lack of memory, an
// interrupt or a transaction that did not get through.
func isTemporary(err error) bool {
	if known, ok := errors.AsType[*duckdb.Error](err); ok {
		switch known.Type {
		case duckdb.ErrorTypeOutOfMemory, duckdb.ErrorTypeInterrupt, duckdb.ErrorTypeTransaction:
			return true
		}
	}
	// An appender tells its errors without their type.
	return strings.Contains(err.Error(), "could not allocate") || strings.Contains(err.Error(), "failed to allocate")
}
