package schema

import "time"

// The limits of a schema. They are checked when it is registered; exceeding one yields a
// *CompileError that names it.
const (
	// MaxDocumentBytes bounds the text of a schema.
	MaxDocumentBytes = 256 << 10
	// MaxDepth bounds the nesting of arrays and objects in the document. Each property takes two
	// levels, so data can be described about 30 objects deep.
	MaxDepth = 64
	// MaxValues and MaxObjects bound the whole document.
	MaxValues  = 20_000
	MaxObjects = 4_000
	// MaxSubschemas bounds the subschemas that the root reaches.
	MaxSubschemas = 2_000
	// MaxBranches bounds one anyOf, oneOf or allOf.
	MaxBranches = 100
	// MaxEnum bounds the values of one enum.
	MaxEnum = 1_000
	// MaxPatternBytes bounds one pattern.
	MaxPatternBytes = 1_024
	// MaxPatternSize bounds the program of one pattern, in RE2 instructions:
	// ^.{0,1000}$ takes about 2,000.
	MaxPatternSize = 2_500
	// MaxSteps bounds the work for a single place of the data: subschemas that apply to it, names
	// in required, numbers in enum. It makes nested anyOf and doubling references harmless.
	MaxSteps = 1_000
	// MaxPatternLoad bounds the programs of all patterns that apply to one text.
	MaxPatternLoad = 10_000
)

// The limits of a check.
const (
	// MaxProblems bounds the problems of one event; the first by pointer are kept.
	MaxProblems = 100
	// MaxMessageBytes bounds the text of one problem.
	MaxMessageBytes = 600
	// MaxDataDepth bounds the nesting of arrays and objects in data. It must not be less than what
	// the intake accepts.
	MaxDataDepth = 64
	// MaxWork bounds the work of one check, in units of about 50 ns of CPU time for data that
	// conforms; other data takes up to three times as long. See weight.go.
	MaxWork = 1_000_000
	// commonText is the size of a text, in bytes, up to which its patterns must be cheap enough to
	// avoid a warning.
	commonText = 16 << 10
)

// The limits of a comparison of two versions. Exceeding one counts as breaking.
const (
	// MaxReasons bounds the reasons that are reported.
	MaxReasons = 100
	// maxComparisons bounds the work, in steps of about 5 µs. A schema of a thousand
	// properties takes 10,000.
	maxComparisons = 50_000
	// commonValues is the number of values at one depth for which a compatible version must still
	// be cheap enough: those of an event of 256 KiB, with 260 bytes each. With a larger number,
	// ordinary changes would count as breaking.
	commonValues = 1_000
	// MaxCompareTime bounds the time of a comparison on a slow or busy machine.
	MaxCompareTime = 5 * time.Second
)

// The limits of a proposal. What exceeds them is not described.
const (
	maxProposedDepth  = 16  // of members and items
	maxProposedPlaces = 500 // members and items altogether
	maxProposedNames  = 100 // members of one object
	maxProposedName   = 200 // bytes of a name
	maxProposedEnum   = 10  // values of an enum
	maxProposedText   = 64  // bytes of a value of an enum
	// minEvidence is the number of texts that a format requires, and each value of an enum on
	// average.
	minEvidence = 20
)
