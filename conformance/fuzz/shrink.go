package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Shrinking
//
// A scenario that differs has some hundred ops, of which a few matter. Shrink
// tries smaller scenarios, and goes on from the first one that differs still,
// until none does: first without long runs of ops, then without single ones,
// with what is inside a block in place of the block, without things that are
// defined. It knows next to nothing of what ops mean. A smaller scenario may
// well be unsound (it names what is gone): the oracle tells, and then it does not
// count as one that differs.
//
// The order of keys is lost on the way. No scenario depends on it.

// A scenario is its JSON.
type scenario map[string]any

func (s scenario) encode() []byte {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err) // it came from JSON
	}
	return data
}

func (s scenario) clone() scenario {
	var c scenario
	if err := json.Unmarshal(s.encode(), &c); err != nil {
		panic(err)
	}
	return c
}

// shrink returns a scenario that differs, such that none differs that is a step
// smaller. S itself must differ.
func shrink(s scenario, differs func(scenario) bool) scenario {
	for {
		smaller, ok := smallerOne(s, differs)
		if !ok {
			return s
		}
		s = smaller
	}
}

func smallerOne(s scenario, differs func(scenario) bool) (scenario, bool) {
	for c := range reductions(s) {
		if sound(c) && differs(c) {
			return c, true
		}
	}
	return nil, false
}

// reductions are the scenarios that are a step smaller than s, the smallest
// first, more or less.
func reductions(s scenario) iter.Seq[scenario] {
	return func(yield func(scenario) bool) {
		for _, part := range []func(scenario) iter.Seq[scenario]{withoutDefinition, withoutOps, unwrapped, withoutStage} {
			for c := range part(s) {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// tables are the keys whose values are things by name.
var tables = []string{"tasks", "agens", "gens", "objs"}

// withoutDefinition leaves out a named thing, and all ops that name it.
func withoutDefinition(s scenario) iter.Seq[scenario] {
	return func(yield func(scenario) bool) {
		for _, table := range tables {
			things, _ := s[table].(map[string]any)
			for _, name := range slices.Sorted(maps.Keys(things)) {
				c := s.clone()
				delete(c[table].(map[string]any), name)
				for _, b := range c.blocks() {
					b.set(slices.DeleteFunc(b.ops, func(op any) bool { return names(op, name) }))
				}
				if !yield(c) {
					return
				}
			}
		}
	}
}

// names tells whether an op has that name among its arguments, or in a list that
// is one. Blocks inside it don't count.
func names(op any, name string) bool {
	for _, arg := range op.([]any)[1:] {
		if list, ok := arg.([]any); arg == name || ok && slices.Contains(list, any(name)) {
			return true
		}
	}
	return false
}

// withoutOps leaves out some ops of one block that follow one another: the whole
// block, halves, quarters and so on.
func withoutOps(s scenario) iter.Seq[scenario] {
	return func(yield func(scenario) bool) {
		blocks := s.blocks()
		longest := 0
		for _, b := range blocks {
			longest = max(longest, len(b.ops))
		}
		for size := longest; size > 0; size /= 2 {
			for i, b := range blocks {
				for at := 0; at+size <= len(b.ops); at += size {
					c := s.clone()
					b := c.blocks()[i]
					b.set(slices.Delete(b.ops, at, at+size))
					if !yield(c) {
						return
					}
				}
				// What is left over at the end of the block.
				if rest := len(b.ops) % size; rest > 0 && len(b.ops) > size {
					c := s.clone()
					b := c.blocks()[i]
					b.set(b.ops[:len(b.ops)-rest])
					if !yield(c) {
						return
					}
				}
			}
		}
	}
}

// unwrapped puts the ops of an inner block in the place of the op around it.
func unwrapped(s scenario) iter.Seq[scenario] {
	return func(yield func(scenario) bool) {
		for i, b := range s.blocks() {
			for j, op := range b.ops {
				for _, inner := range innerBlocks(op.([]any)) {
					c := s.clone()
					b := c.blocks()[i]
					body := b.ops[j].([]any)[inner].([]any)
					b.set(slices.Concat(b.ops[:j], body, b.ops[j+1:]))
					if !yield(c) {
						return
					}
				}
			}
		}
	}
}

// withoutStage joins the users of a stage of a pipeline to its first target. A
// sink is left out where it is one of several.
func withoutStage(s scenario) iter.Seq[scenario] {
	return func(yield func(scenario) bool) {
		stages, _ := s["stages"].([]any)
		for i, spec := range stages {
			spec := spec.([]any)
			name := spec[0].(string)
			var heirs []any
			switch last := spec[len(spec)-1].(type) {
			case []any:
				heirs = last
			case string:
				if len(spec) > 2 {
					heirs = []any{last}
				}
			}
			for _, heir := range append(heirs, nil) {
				c := s.clone()
				left := slices.Delete(c["stages"].([]any), i, i+1)
				c["stages"] = left
				for _, user := range append(slices.Clone(left), c["drive"].([]any)...) {
					replace(user.([]any), name, heir)
				}
				if !yield(c) {
					return
				}
			}
		}
	}
}

// replace puts heir in the place of name among the arguments of a stage or an op,
// or takes the name out of a list if heir is nil.
func replace(op []any, name string, heir any) {
	for i := 1; i < len(op); i++ {
		switch arg := op[i].(type) {
		case string:
			if arg == name && heir != nil {
				op[i] = heir
			}
		case []any:
			at := slices.Index(arg, any(name))
			if at < 0 {
				continue
			}
			if heir == nil || slices.Contains(arg, heir) {
				op[i] = slices.Delete(arg, at, at+1)
			} else {
				arg[at] = heir
			}
		}
	}
}

// A block is a list of ops somewhere in a scenario.
type block struct {
	ops []any
	set func([]any)
}

// blocks are all blocks of a scenario, outer ones first, always in the same
// order.
func (s scenario) blocks() []block {
	var found []block
	var add func(ops []any, set func([]any))
	add = func(ops []any, set func([]any)) {
		found = append(found, block{ops, set})
		for _, op := range ops {
			op := op.([]any)
			for _, i := range innerBlocks(op) {
				add(op[i].([]any), func(ops []any) { op[i] = ops })
			}
		}
	}
	for _, table := range tables {
		if table == "objs" {
			continue
		}
		bodies, _ := s[table].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(bodies)) {
			add(bodies[name].([]any), func(ops []any) { bodies[name] = ops })
		}
	}
	if drive, ok := s["drive"].([]any); ok {
		add(drive, func(ops []any) { s["drive"] = ops })
	}
	return found
}

// innerBlocks are the arguments of an op that are blocks with ops in them.
func innerBlocks(op []any) (indexes []int) {
	for i, arg := range op {
		if list, ok := arg.([]any); ok && len(list) > 0 {
			if _, ok := list[0].([]any); ok {
				indexes = append(indexes, i)
			}
		}
	}
	return indexes
}

// sound refuses what the kit rules out but the oracle would run: tasks without
// main, and a "ret" in the last block of a "try".
func sound(s scenario) bool {
	if tasks, ok := s["tasks"].(map[string]any); ok && tasks["main"] == nil {
		return false
	}
	for _, b := range s.blocks() {
		for _, op := range b.ops {
			if op := op.([]any); op[0] == "try" && len(op) > 4 && strings.Contains(text(op[4]), `["ret"`) {
				return false
			}
		}
	}
	return true
}

func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // it came from JSON
	}
	return string(data)
}

// format prints a scenario with a line for each body, and each op of a drive.
func (s scenario) format() string {
	var out bytes.Buffer
	fmt.Fprintf(&out, "{%s: %s", text("family"), text(s["family"]))
	for _, key := range []string{"objs", "agens", "gens", "tasks"} {
		things, _ := s[key].(map[string]any)
		if len(things) == 0 && !(s["family"] == "asyncio" && key == "objs") {
			continue
		}
		fmt.Fprintf(&out, ",\n %s: {", text(key))
		for i, name := range slices.Sorted(maps.Keys(things)) {
			if i > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(&out, "\n  %s: %s", text(name), text(things[name]))
		}
		out.WriteByte('}')
	}
	for _, key := range []string{"stages", "drive"} {
		if list, ok := s[key].([]any); ok {
			fmt.Fprintf(&out, ",\n %s: %s", text(key), text(list))
		}
	}
	out.WriteByte('}')
	return out.String()
}
