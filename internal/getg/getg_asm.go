//go:build amd64 || arm64

package getg

const supported = true

// Current returns the address of the running goroutine's g.
func Current() uintptr
