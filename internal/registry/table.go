package registry

import (
	"hash/maphash"
	"iter"
	"maps"
)

// tableShards is how many maps a table has: a change copies one of them.
const tableShards = 256

// table is a map whose copy costs little, however large it is. A copy shares the shards that it does
// not change. The zero value is empty, and must be copied before it is changed.
type table[K comparable, V any] struct {
	seed   maphash.Seed
	shards [tableShards]map[K]V
	own    [tableShards]bool // shards that no other copy has
}

// copy returns a table that may be changed with set and remove until it is copied itself.
func (t *table[K, V]) copy() *table[K, V] {
	if t == nil {
		return &table[K, V]{seed: maphash.MakeSeed()}
	}
	return &table[K, V]{seed: t.seed, shards: t.shards}
}

func (t *table[K, V]) shard(key K) int {
	return int(maphash.Comparable(t.seed, key) % tableShards)
}

func (t *table[K, V]) get(key K) V {
	v, _ := t.find(key)
	return v
}

func (t *table[K, V]) find(key K) (V, bool) {
	v, ok := t.shards[t.shard(key)][key]
	return v, ok
}

func (t *table[K, V]) set(key K, value V) {
	t.mine(t.shard(key))[key] = value
}

func (t *table[K, V]) remove(key K) {
	delete(t.mine(t.shard(key)), key)
}

func (t *table[K, V]) mine(i int) map[K]V {
	if !t.own[i] {
		t.own[i] = true
		if t.shards[i] = maps.Clone(t.shards[i]); t.shards[i] == nil {
			t.shards[i] = map[K]V{}
		}
	}
	return t.shards[i]
}

// all returns everything, in no order.
func (t *table[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, shard := range t.shards {
			for key, value := range shard {
				if !yield(key, value) {
					return
				}
			}
		}
	}
}
