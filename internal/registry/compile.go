package registry

import (
	"context"
	"fmt"
	"time"

	"theeye/internal/schema"
)

const (
	// maxCompileTime bounds the compilation of a schema, in case the limits of package schema do
	// not keep it far below that.
	maxCompileTime = 900 * time.Millisecond
	// maxCompiling bounds the schemas that are compiled at the same time.
	maxCompiling = 2
)

// Compile compiles a schema from a user, without putting it in force; its version is 0. It returns
// within a second. The document must not be changed afterwards. Errors: *schema.CompileError,
// ErrUnavailable if too many schemas are being compiled.
func (r *Registry) Compile(ctx context.Context, category, name string, document []byte) (*schema.Type, error) {
	ctx, cancel := context.WithTimeout(ctx, maxCompileTime)
	defer cancel()
	return within(ctx, r.compiling, func() (*schema.Type, error) { return schema.CompileDraft(category, name, 0, document) })
}

// within returns the result of compile, or an error if ctx is done first. A compilation that
// continues keeps its slot until it ends, so that compilations cannot pile up.
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
