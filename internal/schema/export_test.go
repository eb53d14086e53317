package schema

// Formats are those that count as known.
func Formats() []string { return formats() }
