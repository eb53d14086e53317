// Package cow provides a map that is cheap to copy, however large it is: copies share the parts
// that do not differ. It is meant for snapshots that are replaced with each change.
package cow

import (
	"hash/maphash"
	"iter"
	"maps"
)

// shards is the number of maps in a Map: a change copies one of them.
const shards = 256

// Map is a map. A copy shares the parts that it does not change. The first Map is the copy of a nil
// Map, on which only Copy may be called. A Map that is not being changed may be read concurrently.
type Map[K comparable, V any] struct {
	seed  maphash.Seed
	parts [shards]map[K]V
	own   [shards]bool // parts that are not shared
}

// Copy returns a copy, which only the caller has. It may be changed with Set and Remove until it is
// copied itself.
func (m *Map[K, V]) Copy() *Map[K, V] {
	if m == nil {
		return &Map[K, V]{seed: maphash.MakeSeed()}
	}
	return &Map[K, V]{seed: m.seed, parts: m.parts}
}

func (m *Map[K, V]) shard(key K) int {
	return int(maphash.Comparable(m.seed, key) % shards)
}

// Get returns the value of a key, or the zero value if there is none.
func (m *Map[K, V]) Get(key K) V {
	v, _ := m.Find(key)
	return v
}

// Find returns the value of a key, and whether there is one.
func (m *Map[K, V]) Find(key K) (V, bool) {
	v, ok := m.parts[m.shard(key)][key]
	return v, ok
}

// Set sets the value of a key.
func (m *Map[K, V]) Set(key K, value V) {
	m.mine(m.shard(key))[key] = value
}

// Remove removes a key.
func (m *Map[K, V]) Remove(key K) {
	delete(m.mine(m.shard(key)), key)
}

func (m *Map[K, V]) mine(i int) map[K]V {
	if !m.own[i] {
		m.own[i] = true
		if m.parts[i] = maps.Clone(m.parts[i]); m.parts[i] == nil {
			m.parts[i] = map[K]V{}
		}
	}
	return m.parts[i]
}

// All returns all keys and values, in no particular order.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, part := range m.parts {
			for key, value := range part {
				if !yield(key, value) {
					return
				}
			}
		}
	}
}
