//go:build amd64 || arm64

package loop

// prefetchTask asks for the first two lines at h, which a task begins with.
//
//go:noescape
func prefetchTask(h *Handle)

// prefetchWorker asks for the lines of a worker.
//
//go:noescape
func prefetchWorker(w *worker)

// prefetchStack asks for the lines around a stack pointer and the first ones of a g. Neither
// address need be mapped any more: a prefetch never faults.
func prefetchStack(at, gp uintptr)

// stackPointer returns the caller's stack pointer, or nearly so.
func stackPointer() uintptr
