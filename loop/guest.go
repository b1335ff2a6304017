package loop

// guest marks the place of a goroutine that is not the loop's.
var guest = new(worker)

// Enroll registers the calling goroutine, which runs on l's thread in place of
// the task that resumed it: the body of a generator. It only makes Current fast
// there. The goroutine must call leave before it ends, at best by defer.
func (l *Loop) Enroll() (leave func()) {
	register(&place{l, guest})
	return unregister
}
