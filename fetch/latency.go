package fetch

import (
	"math/bits"
	"time"
)

// Latency is a histogram of durations in fixed memory (15 KB): 64 buckets to each power of two of microseconds, so a
// quantile is within 1 % (0.8) of the exact one, or one microsecond below 64. The zero value is empty. Not safe for
// concurrent use: each loop has its own, and they are merged.
type Latency struct {
	counts [latencyBuckets]uint64
	total  uint64
}

const (
	latencyBits    = 6  // 2^6 buckets a power of two
	latencyTop     = 36 // durations from 2^36 us (19 hours) on count as that
	latencyBuckets = (latencyTop - latencyBits + 1) << latencyBits
)

// Add counts d.
func (l *Latency) Add(d time.Duration) {
	l.counts[latencyBucket(uint64(max(d.Microseconds(), 0)))]++
	l.total++
}

func latencyBucket(us uint64) int {
	if us >= 1<<latencyTop {
		us = 1<<latencyTop - 1
	}
	if us < 1<<latencyBits {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - latencyBits
	return shift<<latencyBits + int(us>>shift)
}

// bucketMiddle is the value that stands for a bucket.
func bucketMiddle(i int) uint64 {
	if i < 2<<latencyBits {
		return uint64(i)
	}
	shift := i>>latencyBits - 1
	return uint64(i-shift<<latencyBits)<<shift + 1<<shift/2
}

// Merge adds the durations of o.
func (l *Latency) Merge(o *Latency) {
	for i, n := range o.counts {
		l.counts[i] += n
	}
	l.total += o.total
}

// Quantile returns the duration that the share q (0 to 1) of all durations does not exceed, 0 if there are none.
func (l *Latency) Quantile(q float64) time.Duration {
	rank := max(uint64(q*float64(l.total)+0.5), 1)
	var seen uint64
	for i, n := range l.counts {
		if seen += n; seen >= rank {
			return time.Duration(bucketMiddle(i)) * time.Microsecond
		}
	}
	return 0
}
