package schema

// Formats returns the formats that count as known.
func Formats() []string { return formats() }
