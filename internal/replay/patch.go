package replay

import (
	"errors"
	"fmt"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Limits of a patch.
const (
	MaxPatchBytes      = 64 << 10
	MaxPatchOperations = 100
	maxCopied          = 1 << 20 // bytes that its copies may add to a body
)

// InvalidError reports why the request of a replay is invalid.
type InvalidError struct{ Reason string }

func (e *InvalidError) Error() string { return e.Reason }

func invalidf(format string, args ...any) error {
	return &InvalidError{fmt.Sprintf(format, args...)}
}

// patch is a JSON Patch (RFC 6902) that does not change the identity of an event. The nil patch
// changes nothing.
type patch struct {
	operations jsonpatch.Patch
	options    *jsonpatch.ApplyOptions
}

// operation is one step of a patch as it is written.
type operation struct {
	Op    string         `json:"op"`
	Path  *string        `json:"path"`
	From  *string        `json:"from"`
	Value jsontext.Value `json:"value"`
}

// parsePatch reads a patch. The error is an *InvalidError.
func parsePatch(text jsontext.Value) (*patch, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	if len(text) > MaxPatchBytes {
		return nil, invalidf("the patch has %d bytes; at most %d are allowed", len(text), MaxPatchBytes)
	}
	var operations []operation
	if err := json.Unmarshal(text, &operations); err != nil {
		return nil, invalidf(`patch must be an array of operations, such as [{"op":"add","path":"/data/a","value":1}] (RFC 6902)`)
	}
	if len(operations) > MaxPatchOperations {
		return nil, invalidf("the patch has %d operations; at most %d are allowed", len(operations), MaxPatchOperations)
	}
	for i, o := range operations {
		if fault := o.fault(); fault != "" {
			return nil, invalidf("operation %d of the patch %s", i, fault)
		}
	}
	decoded, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return nil, invalidf("patch is not a JSON Patch (RFC 6902): %s", err)
	}
	options := jsonpatch.NewApplyOptions()
	options.SupportNegativeIndices, options.EscapeHTML, options.AccumulatedCopySizeLimit = false, false, maxCopied
	return &patch{decoded, options}, nil
}

// fault says what is wrong with an operation, "" when nothing is.
func (o operation) fault() string {
	if o.Path == nil {
		return "has no path"
	}
	changed := []string{*o.Path}
	switch o.Op {
	case "add", "replace", "test":
		if len(o.Value) == 0 {
			return "has no value, which " + o.Op + " needs"
		}
		if o.Op == "test" {
			changed = nil
		}
	case "remove":
	case "move", "copy":
		if o.From == nil {
			return "has no from, which " + o.Op + " needs"
		}
		if !isPointer(*o.From) {
			return fmt.Sprintf("has from %.80q, which is not a JSON Pointer", *o.From)
		}
		if o.Op == "move" {
			changed = append(changed, *o.From)
		}
	default:
		return fmt.Sprintf("has op %.40q; it must be add, remove, replace, move, copy or test", o.Op)
	}
	if !isPointer(*o.Path) {
		return fmt.Sprintf("has path %.80q, which is not a JSON Pointer", *o.Path)
	}
	for _, pointer := range changed {
		first, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
		switch {
		case pointer == "":
			return "replaces the whole event; name the part to change, such as /data/path"
		case first == "id", first == "app":
			return fmt.Sprintf("changes %q; an event keeps its id and its application", pointer)
		}
	}
	return ""
}

// isPointer reports whether text is a JSON Pointer (RFC 6901).
func isPointer(text string) bool {
	return (text == "" || text[0] == '/') && jsontext.Pointer(text).IsValid()
}

// errNotStrict is the error of a body with duplicate names, to which no patch is applied.
var errNotStrict = errors.New("the body has duplicate names, among which a patch would silently choose")

// apply returns a body with the patch applied. The other parts keep their numbers, strings and
// order of names, but not the white space.
func (p *patch) apply(body []byte) ([]byte, error) {
	if p == nil {
		return body, nil
	}
	if value := jsontext.Value(body); !value.IsValid() || value.Kind() != '{' {
		return nil, errNotStrict
	}
	return p.operations.ApplyWithOptions(body, p.options)
}
