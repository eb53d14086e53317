package registry

import (
	"context"
	"fmt"
	"time"

	"theeye/internal/schema"
)

const (
	// maxCompileTime is how long the compiling of a schema may take. The bounds of
	// package schema keep it far below; this holds when they do not.
	maxCompileTime = 900 * time.Millisecond
	// maxCompiling is how many schemas are compiled at a time.
	maxCompiling = 2
)

// Compile reads a schema that a user sent and puts nothing in force; its version
// is 0. It returns within a second. The document must not be changed afterwards.
// Errors: *schema.CompileError, ErrUnavailable when too many are compiled at once.
func (r *Registry) Compile(ctx context.Context, category, name string, document []byte) (*schema.Type, error) {
	ctx, cancel := context.WithTimeout(ctx, maxCompileTime)
	defer cancel()
	return within(ctx, r.compiling, func() (*schema.Type, error) { return schema.CompileDraft(category, name, 0, document) })
}

// within returns what compile returns, or an error when ctx ends before. A compile
// that goes on keeps its slot until it ends, so that they cannot pile up.
func within(ctx context.Context, slots chan struct{}, compile func() (*schema.Type, error)) (*schema.Type, error) {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: other schemas are being compiled", ErrUnavailable)
	}
	type result struct {
		t   *schema.Type
		err error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-slots }()
		t, err := compile()
		done <- result{t, err}
	}()
	select {
	case r := <-done:
		return r.t, r.err
	case <-ctx.Done():
		return nil, &schema.CompileError{Reason: "the schema takes too long to compile; use fewer references, alternatives and patterns"}
	}
}
