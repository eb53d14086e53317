package main

import (
	"context"
	"log/slog"
)

// demoOptions say where the demo sends to.
type demoOptions struct {
	BaseURL  string
	AdminKey string
	Logger   *slog.Logger
	Seed     uint64
}

func runDemo(ctx context.Context, _ demoOptions) error {
	<-ctx.Done()
	return nil
}
