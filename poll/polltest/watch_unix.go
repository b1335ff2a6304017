//go:build unix && !aix && !solaris && !illumos

package polltest

// hasPoll says whether the system can watch descriptors without a backend of its own.
const hasPoll = true
