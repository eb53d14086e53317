package duckdb

/*
#include <stdbool.h>
#include <stddef.h>

// Symbols of the jemalloc that DuckDB contains. They are not part of its interface, which can only
// make it clear memory permanently, and that costs a tenth of the intake. Weak: a DuckDB that was
// built without jemalloc does not have them.
extern bool duckdb_je_opt_zero __attribute__((weak));
extern void duckdb_je_tsd_global_slow_inc(void *) __attribute__((weak));
extern void duckdb_je_tsd_global_slow_dec(void *) __attribute__((weak));

static bool can_zero(void) {
	return &duckdb_je_opt_zero && duckdb_je_tsd_global_slow_inc && duckdb_je_tsd_global_slow_dec;
}

// opt_zero holds on the slow path alone, so it can stay set.
static void zero_begin(void) {
	if (!can_zero()) return;
	duckdb_je_opt_zero = true;
	duckdb_je_tsd_global_slow_inc(NULL);
}

static void zero_end(void) {
	if (can_zero()) duckdb_je_tsd_global_slow_dec(NULL);
}
*/
import "C"

// zeroed calls a function that writes a database file, and makes DuckDB clear the memory that it
// allocates meanwhile, in every thread. Otherwise the unused parts of a block keep what the memory
// had, and are written to the file (https://github.com/duckdb/duckdb/issues/23382).
func zeroed(write func() error) error {
	C.zero_begin()
	defer C.zero_end()
	return write()
}
