package duckdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"theeye/internal/store"
)

// storeError classifies an error of DuckDB for callers: the error of ctx if that has ended,
// store.ErrUnavailable if a retry may succeed, else an unexpected error.
func storeError(ctx context.Context, what string, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case isTemporary(err):
		return fmt.Errorf("%w: %s: %s", store.ErrUnavailable, what, firstLine(err))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// firstLine returns the first line of an error of DuckDB. The others advise to change settings,
// which are locked.
func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

// isTemporary reports whether an error is a lack of memory, an interrupt or a failed transaction.
func isTemporary(err error) bool {
	if known, ok := errors.AsType[*duckdb.Error](err); ok {
		switch known.Type {
		case duckdb.ErrorTypeInterrupt, duckdb.ErrorTypeTransaction:
			return true
		}
	}
	return isOutOfMemory(err)
}

// isOutOfMemory reports whether DuckDB did not have enough memory for a statement.
func isOutOfMemory(err error) bool {
	if err == nil {
		return false
	}
	if known, ok := errors.AsType[*duckdb.Error](err); ok && known.Type == duckdb.ErrorTypeOutOfMemory {
		return true
	}
	// Errors of appenders, commits and checkpoints do not have that type.
	return slices.ContainsFunc([]string{"could not allocate", "failed to allocate", "failed to pin"}, func(text string) bool {
		return strings.Contains(err.Error(), text)
	})
}
