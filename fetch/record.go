package fetch

import (
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"time"
)

// Record is the outcome of one URL: one line of the output.
type Record struct {
	URL         string // as read
	Line        int    // of the input, counted from 1; 0 for an argument. Written with a failure only
	FinalURL    string // after redirects; "" if nothing answered
	Status      int    // of the last answer; 0 if nothing answered
	Bytes       int64  // of the body, decoded
	HasSum      bool
	Sum         [sha256.Size]byte
	Attempts    int
	Elapsed     time.Duration // from the first attempt to the end of the body, pauses between attempts included
	Saved       string        // path of the saved body, if any
	Result      []byte        // the stage's, one JSON value; empty if no stage ran
	Kind        Kind          // of the failure; "" if the URL was fetched and processed
	Message     string        // of the failure
	ContentType string        // for stages; not written
}

// Kind says in one word how a URL failed: one of those below, or one of [rondohttp.Kind] if the exchange failed, such as
// "dns", "timeout-connect", "reset" or "truncated". The words are part of the output and don't change.
type Kind string

// Kinds of failure that are fetch's own, and those of the exchange that it asks for by name.
const (
	KindURL    Kind = "bad-url"
	KindStatus Kind = "status" // an answer that is not 2xx
	KindWorker Kind = "worker" // a worker process died, or answered nonsense
	KindSave   Kind = "save"   // the body could not be saved
	KindOther  Kind = "other"

	kindConnect   Kind = "connect"
	kindReset     Kind = "reset"
	kindClosed    Kind = "closed"
	kindTruncated Kind = "truncated"
	kindTimeout   Kind = "timeout-" // begins several
)

// Reset empties r for the next URL and keeps its memory.
func (r *Record) Reset() {
	result := r.Result[:0]
	*r = Record{}
	r.Result = result
}

// AppendJSON appends the record as one JSON object without a newline.
func (r *Record) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"url":`...)
	dst = appendString(dst, r.URL)
	if r.FinalURL != "" {
		dst = append(dst, `,"final_url":`...)
		dst = appendString(dst, r.FinalURL)
	}
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, `,"bytes":`...)
	dst = strconv.AppendInt(dst, r.Bytes, 10)
	if r.HasSum {
		dst = append(dst, `,"sha256":"`...)
		for _, c := range r.Sum {
			dst = append(dst, hexDigits[c>>4], hexDigits[c&0xf])
		}
		dst = append(dst, '"')
	}
	dst = append(dst, `,"attempts":`...)
	dst = strconv.AppendInt(dst, int64(r.Attempts), 10)
	dst = append(dst, `,"elapsed_ms":`...)
	dst = appendMillis(dst, r.Elapsed)
	if r.Saved != "" {
		dst = append(dst, `,"saved":`...)
		dst = appendString(dst, r.Saved)
	}
	if len(r.Result) > 0 {
		dst = append(dst, `,"result":`...)
		dst = append(dst, r.Result...)
	}
	if r.Kind != "" {
		dst = append(dst, `,"error":{"kind":`...)
		dst = appendString(dst, string(r.Kind))
		dst = append(dst, `,"message":`...)
		dst = appendString(dst, r.Message)
		if r.Line > 0 {
			dst = append(dst, `,"line":`...)
			dst = strconv.AppendInt(dst, int64(r.Line), 10)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// MarshalJSON implements [json.Marshaler].
func (r *Record) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

var _ json.Marshaler = (*Record)(nil)

// appendMillis appends d in milliseconds with three decimals.
func appendMillis(dst []byte, d time.Duration) []byte {
	us := max(d.Microseconds(), 0)
	dst = strconv.AppendInt(dst, us/1000, 10)
	frac := us % 1000
	return append(dst, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
}
