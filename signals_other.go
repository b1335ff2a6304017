//go:build !unix

package rondo

import "os"

// uncatchable are the signals that always have their usual effect.
var uncatchable = []os.Signal{os.Kill}
