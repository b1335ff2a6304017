//go:build !amd64 && !arm64

package getg

const supported = false

// Current returns 0: this platform has no assembly for it.
func Current() uintptr { return 0 }
