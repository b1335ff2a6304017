// Package fetch fetches many URLs and processes their bodies: the engine behind `rondo fetch`.
//
// The nouns, in the order a URL meets them: [Lines] reads URLs as a stream; a loop's task fetches one and feeds its
// chunks to a [Digest] and a [Stage], or hands the whole body to [Workers], which are processes; the outcome is a
// [Record], written by an [Output]; [Counters] add up to the [Summary].
//
// Everything a loop's task calls for every chunk or record (Digest, the built-in stages, Record, Counters) neither
// blocks nor allocates in the steady state. What may block (files, pipes, processes) runs on goroutines of its own
// and is bounded: when it lags, the tasks wait, and fetching slows.
package fetch
