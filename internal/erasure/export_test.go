package erasure

// Seal returns a line with its checksum.
func Seal(object string) string { return string(seal([]byte(object))) }
