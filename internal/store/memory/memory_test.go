package memory_test

import (
	"testing"

	"theeye/internal/store/memory"
	"theeye/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Store { return memory.New() })
}
