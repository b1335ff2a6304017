package fetch

import (
	"fmt"
	"strings"
)

// Document is what a stage may know of a body before its first byte. It is also the header of the frame that a
// worker process is sent.
type Document struct {
	URL         string // where the body came from, after redirects
	Status      int
	ContentType string // the media type, lower case, without parameters; "" if unknown
}

// Stage processes one body after another, each in the chunks in which it arrives, split anywhere. It keeps what it
// needs of a body in bounded memory and never holds on to a chunk. A stage belongs to one task; it is not safe for
// concurrent use.
type Stage interface {
	// Reset forgets the body before and begins that of doc.
	Reset(doc Document)
	// Write processes the next chunk, which is valid during the call only.
	Write(chunk []byte)
	// AppendResult appends the result for the body so far, one JSON value without a newline.
	AppendResult(dst []byte) []byte
}

// Builtins names the built-in stages.
var Builtins = []string{"words", "links", "title"}

// NewStage returns a new built-in stage, or an error that names the ones there are.
func NewStage(name string) (Stage, error) {
	switch name {
	case "words":
		return new(Words), nil
	case "links":
		return new(Links), nil
	case "title":
		return new(Title), nil
	}
	return nil, fmt.Errorf("stage %q: unknown; there are %s, and cmd:COMMAND", name, strings.Join(Builtins, ", "))
}
