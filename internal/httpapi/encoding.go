package httpapi

import (
	"strconv"
	"strings"
)

// AcceptedEncoding chooses the first of the offered encodings that a caller accepts by its
// Accept-Encoding headers (RFC 9110, section 12.5.3), or "" for none.
func AcceptedEncoding(headers []string, offered ...string) string {
	accepted := map[string]bool{}
	for item := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, parameter, _ := strings.Cut(item, ";")
		weight := 1.0
		if text, ok := strings.CutPrefix(strings.TrimSpace(parameter), "q="); ok {
			weight, _ = strconv.ParseFloat(text, 64)
		}
		accepted[strings.ToLower(strings.TrimSpace(name))] = weight > 0
	}
	for _, name := range offered {
		if accepted[name] {
			return name
		}
	}
	return ""
}
