package fetch

import (
	"crypto/tls"
	"net/http"
	"time"
)

// Config says what a [Fetcher] does. Lines is required; zero values of the rest mean the least.
type Config struct {
	Lines       *Lines
	Concurrency int // URLs in hand at a time, over all loops; 0 means 100
	PerHost     int // and to one scheme, host and port; 0 means no bound of its own
	Loops       int // event loops; 0 means one a core, at most Concurrency

	Timeout   time.Duration // for one try, redirects and body included; 0 means none
	Retry     Retry
	Header    http.Header
	UserAgent string // "" means rondohttp's own
	TLS       *tls.Config
	Protocols http.Protocols // none: HTTP/1.1 and HTTP/2; see rondohttp.WithProtocols
	MaxBody   int64          // bytes of a body; 0 means any number

	Digest   bool     // take the SHA-256 of every body
	Stage    string   // a built-in stage that runs on the loops, "" for none
	Workers  *Workers // processes that get every body, nil for none. Their Queue must take Concurrency jobs.
	Isolated string   // the built-in stage that the workers run, "" if it is none
	Saver    *Saver   // keeps bodies, nil for none
	Output   *Output  // gets the records, nil for none

	Warn func(error) // is told of bad lines, on any goroutine; nil for nobody
}
