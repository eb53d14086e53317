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

// storeError tells what an error of DuckDB means to the caller: that ctx ended,
// that trying again may help (store.ErrUnavailable), or that something is wrong.
func storeError(ctx context.Context, what string, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case isTemporary(err):
		return fmt.Errorf("%w: %s: %s", store.ErrUnavailable, what, firstLine(err))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// firstLine returns what an error of DuckDB says: its further lines are advice about settings
// that are locked.
func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

// isTemporary reports whether an error comes from a lack of memory, an
// interrupt or a transaction that did not get through.
func isTemporary(err error) bool {
	if known, ok := errors.AsType[*duckdb.Error](err); ok {
		switch known.Type {
		case duckdb.ErrorTypeInterrupt, duckdb.ErrorTypeTransaction:
			return true
		}
	}
	return isOutOfMemory(err)
}

// isOutOfMemory reports whether DuckDB did not have the memory for a statement.
func isOutOfMemory(err error) bool {
	if err == nil {
		return false
	}
	if known, ok := errors.AsType[*duckdb.Error](err); ok && known.Type == duckdb.ErrorTypeOutOfMemory {
		return true
	}
	// Appenders, commits and checkpoints tell their errors without that type.
	return slices.ContainsFunc([]string{"could not allocate", "failed to allocate", "failed to pin"}, func(text string) bool {
		return strings.Contains(err.Error(), text)
	})
}
