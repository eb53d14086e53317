// Package quantile counts values in buckets whose width grows with the value, so that quantiles are
// at most an eighth too large, whatever the number of values.
package quantile

import "math/bits"

// Buckets is the number of buckets: for values up to 2^41. Larger ones are in the last bucket.
const Buckets = 8 * (41 - 2)

// Bucket returns the bucket of a value that is not negative. From 8 on, the width of a bucket is an
// eighth of the power of two below it: the four leading bits of a value determine its bucket.
func Bucket(v int64) int {
	if v < 8 {
		return int(max(v, 0))
	}
	shift := bits.Len64(uint64(v)) - 4
	return min(8*(shift+1)+int(v>>shift)-8, Buckets-1)
}

// end returns the largest value of a bucket.
func end(bucket int) int64 {
	if bucket < 8 {
		return int64(bucket)
	}
	shift := bucket/8 - 1
	return int64(bucket%8+9)<<shift - 1
}

// Counts are the numbers of values by bucket.
type Counts [Buckets]int64

// Add adds the counts of d.
func (c *Counts) Add(d *Counts) {
	for i, n := range d {
		c[i] += n
	}
}

// Total returns the number of values.
func (c *Counts) Total() (total int64) {
	for _, n := range c {
		total += n
	}
	return total
}

// Quantile returns an upper bound of the value that so many percent of the values do not exceed, 0
// without values.
func (c *Counts) Quantile(percent int64) int64 {
	rest := (c.Total()*percent + 99) / 100 // number of values that are not larger
	for i, n := range c {
		if rest -= n; rest <= 0 && n > 0 {
			return end(i)
		}
	}
	return 0
}
