package event

// Nearest returns the candidate that a word was probably meant to be: the one
// with the fewest single changes, at most two and less than half of its length. It is
// empty when there is none.
func Nearest(word string, candidates []string) string {
	best, fewest := "", 3
	for _, c := range candidates {
		if d := distance(word, c); d < fewest && 2*d < len(c) {
			best, fewest = c, d
		}
	}
	return best
}

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	if len(a) > 2*MaxSenderCodePoints {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
