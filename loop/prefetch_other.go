//go:build !amd64 && !arm64

package loop

func prefetchTask(*Handle)         {}
func prefetchWorker(*worker)       {}
func prefetchStack(at, gp uintptr) {}
func stackPointer() uintptr        { return 0 }
