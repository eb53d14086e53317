package event

import (
	"fmt"
	"slices"
	"strings"
)

// Nearest returns the candidate that was probably meant by a word: the one with the fewest changes,
// at most two and fewer than half its length. Swapping two adjacent letters is one change; a
// difference in case is none. It returns "" if there is no such candidate.
func Nearest(word string, candidates []string) string {
	if len(word) > 4*MaxTextCodePoints {
		return ""
	}
	if slices.Contains(candidates, word) {
		return word
	}
	typed := []rune(strings.ToLower(word))
	best, fewest := "", maxChanges+1
	for _, c := range candidates {
		if abs(len(c)-len(word)) > maxChanges*len("\U0010ffff") {
			continue // excludes most candidates cheaply
		}
		meant := []rune(strings.ToLower(c))
		if abs(len(meant)-len(typed)) > maxChanges {
			continue
		}
		if d := distance(typed, meant); d < fewest && 2*d < len(meant) {
			best, fewest = c, d
		}
	}
	return best
}

// DidYouMean returns a question for the nearest of some names that are written with hyphens, such
// as settings and commands. format formats the name. It returns "" if no name is near.
func DidYouMean(name string, known []string, format string) string {
	near := Nearest(strings.ReplaceAll(strings.ToLower(name), "_", "-"), known)
	if near == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean "+format+"?", near)
}

const maxChanges = 2

func abs(n int) int { return max(n, -n) }

// distance is the optimal string alignment distance: the smallest number of insertions, deletions,
// replacements and swaps of neighbours, where letters that were swapped are not changed again.
func distance(a, b []rune) int {
	var before, above []int // the rows for a[:i-1] and a[:i]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, above[j+1]+1, above[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
