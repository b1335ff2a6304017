// Package pipeline moves items through stages on the loop: from a source,
// through transforms, over branches, into sinks, with back-pressure all the way.
//
//	lines := pipeline.Lines(os.Stdin)
//	sizes := pipeline.Map(lines, fetchSize, pipeline.InFlight(64))
//	total, err := pipeline.Reduce(ctx, sizes, 0, add)
//
// # Streams
//
// A [Stream] is a plan. Nothing runs until a sink is called: [ForEach], [Reduce],
// [Collect], [First], [ToChannel], [ToWriter], or [Run] for several sinks at
// once. A stream is read once, by one stage or one sink; who wants it twice
// branches it with [Broadcast]. What a run starts is over when the sink returns:
// all of its tasks are in one group.
//
// # How items move
//
// A stage is a function that is called with each item, and that calls the next
// stage: push, not pull. So adjacent stages are one task and a chain of calls,
// with no queue between them, until something needs a task of its own: [InFlight],
// [Buffer], [Batch] with a time, fan-out and fan-in. There a ring of items lies
// between two tasks. The writer parks when the ring is full, the reader when it
// is empty; since they share a thread, the writer fills the ring while the reader
// waits for its turn, and the reader empties it in one go. Items so travel in
// batches as large as the ring when there are many, and one by one, at once, when
// there are few: the reader is woken by the first, not by a full batch. A writer
// that computes for long without parking gives up its turn when its reader has
// waited for 200 us. Who is blocked is woken when the ring is half empty, so that
// a slow reader does not cost its writer a switch an item.
//
// Refused: slices of items handed from stage to stage. They save a little on an
// item, but an item is then in the ring or in the reader's slice, and the bound
// on how far a branch may lag is no longer exact.
//
// # Errors and ends
//
// An error goes downstream, behind the items before it, to the sink, which
// returns it. A stage whose reader is gone is canceled; so an error of a sink, or
// a [Take] that has enough, ends everything upstream. A panic in a task cancels
// the run and comes out of the sink as a [rondo.PanicError].
//
// # Acknowledgement
//
// Items of [FromSource] and [FromQueue] are acknowledged, once, when all that was
// made of them has left the pipeline: a sink is done with it, a filter or a policy
// dropped it, a dead-letter function took it. When a run ends, the items
// on the way are told why. Other sources pay nothing for this.
//
// All of this package is for the tasks of one loop.
package pipeline
