package durable

import "hash/crc32"

// Checksum returns the CRC-32C (Castagnoli) of the concatenated parts. The formats on disk use it
// to detect damage. It does not protect against deliberate changes.
func Checksum(parts ...[]byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	var sum uint32
	for _, part := range parts {
		sum = crc32.Update(sum, table, part)
	}
	return sum
}
