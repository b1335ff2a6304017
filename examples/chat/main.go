// Command chat gives what is said in a room to everybody in it. One of them reads slowly: it misses the oldest of what
// waits for it, and nobody has to wait for it. On the virtual clock, so that the hour it takes is over at once.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/pipeline"
)

// A member reads a message in so much time.
type member struct {
	name  string
	pause time.Duration
}

var members = []member{{"ada", time.Second}, {"bob", time.Minute}, {"eve", 0}}

func chat(ctx context.Context) error {
	said := pipeline.Take(pipeline.Ticker(10*time.Second), 100)
	messages := pipeline.Apply(said, func(at time.Duration) string { return fmt.Sprintf("it is %v", at) })
	branches := make([]pipeline.Branch, len(members))
	for i, m := range members {
		branches[i] = pipeline.Branch{Name: m.name, Policy: pipeline.DropOldest, Lag: 5}
	}
	last := make([]string, len(members))
	var sinks []pipeline.Sink
	for i, inbox := range pipeline.Broadcast(messages, branches...) {
		sinks = append(sinks, pipeline.Each(inbox, func(ctx context.Context, m string) error {
			last[i] = m
			return rondo.Sleep(ctx, members[i].pause)
		}).Named(members[i].name))
	}
	room := pipeline.New(sinks...)
	err := room.Run(ctx)
	for _, s := range room.Stats() {
		for i, m := range members {
			if s.Stage == "branch "+m.name {
				fmt.Printf("%s has read %d of %d and missed %d; the last one was %q\n", m.name, s.Out, s.In, s.Dropped, last[i])
			}
		}
	}
	return err
}

func main() {
	if err := rondo.Run(chat, rondo.WithVirtualTime()); err != nil {
		log.Fatal(err)
	}
}
