package schema

import "time"

// The bounds of a schema. They are checked when it is registered; what is over
// one is refused with a *CompileError that names it.
const (
	// MaxDocumentBytes bounds the text of a schema.
	MaxDocumentBytes = 256 << 10
	// MaxDepth bounds how deep arrays and objects of the document lie in one
	// another. A property of a property takes two levels, so that data may be
	// described about 30 objects deep.
	MaxDepth = 64
	// MaxValues and MaxObjects bound what the document holds altogether.
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
	// MaxSteps bounds the work for a single place of the data: subschemas
	// that apply to it, names of required, numbers of enum. It is what
	// makes nested anyOf and references that double themselves harmless.
	MaxSteps = 1_000
	// MaxPatternLoad bounds the programs of all patterns that apply to one text.
	MaxPatternLoad = 10_000
)

// The bounds of a check.
const (
	// MaxProblems bounds the problems of one event; the first by pointer are kept.
	MaxProblems = 100
	// MaxMessageBytes bounds the text of one problem.
	MaxMessageBytes = 600
	// MaxDataDepth bounds how deep arrays and objects of data lie in one
	// another; it is not below what intake takes.
	MaxDataDepth = 64
	// MaxWork bounds what one check does, in units of about 50 ns of CPU when data
	// conforms; data that does not takes up to three times as long. See weight.go.
	MaxWork = 1_000_000
	// commonText is how many bytes a text may have for its patterns to be no reason
	// for a warning.
	commonText = 16 << 10
)

// The bounds of a comparison of two versions. Beyond them it is not judged, which
// counts as breaking.
const (
	// MaxReasons bounds the reasons that are told.
	MaxReasons = 100
	// maxComparisons bounds the work, in steps of about 5 µs. A schema of a thousand
	// properties takes 10,000.
	maxComparisons = 50_000
	// commonValues is how many values of one depth data may have for a version to
	// take all that the one before took: those of an event of 256 KiB, at 260 bytes
	// each. With more, everyday changes would count as breaking.
	commonValues = 1_000
	// MaxJudging bounds the time, on a machine that is slow or busy.
	MaxJudging = 5 * time.Second
)

// The bounds of a proposal. What is beyond them is not described.
const (
	maxProposedDepth  = 16  // of members and items
	maxProposedPlaces = 500 // members and items altogether
	maxProposedNames  = 100 // members of one object
	maxProposedName   = 200 // bytes of a name
	maxProposedEnum   = 10  // values of an enum
	maxProposedText   = 64  // bytes of a value of an enum
	// minEvidence is how many texts a format needs, and each value of an enum on
	// average.
	minEvidence = 20
)
