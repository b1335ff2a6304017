package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// A scenario is a small program, as ../oracle/README.md defines it. Which of the
// fields are set depends on the family. Values in it are nil, bool, float64,
// string or []any. An op is a []any whose first item is its name, and a block is
// a []any of ops.
type scenario struct {
	Family string
	Theme  string

	// asyncio
	Objs  []named // in the order of the file
	Agens []named // bodies, in the order of the file
	Tasks map[string][]any

	// generator
	Gens map[string][]any

	// pipeline: each is name, kind and arguments
	Stages []any

	// generator and pipeline
	Drive []any
}

// A named is one member of an object whose order is kept.
type named struct {
	Name  string
	Value any // []any: an object's kind and arguments, or a body
}

// decodeScenario reads a scenario. Keys that it does not know are passed over.
//
// Errors: those of encoding/json; an unknown family; what should be a list of
// ops, and is not.
func decodeScenario(data []byte) (*scenario, error) {
	var raw struct {
		Family, Theme string
		Objs, Agens   members
		Tasks, Gens   map[string][]any
		Stages, Drive []any
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, err
	}
	if runners[raw.Family] == nil {
		return nil, fmt.Errorf("unknown family %q", raw.Family)
	}
	s := &scenario{raw.Family, raw.Theme, raw.Objs, raw.Agens, raw.Tasks, raw.Gens, raw.Stages, raw.Drive}
	return s, s.check()
}

// check refuses what an interpreter would stumble over: each op, and each other
// thing with a name or a kind, is a list that begins with a string.
func (s *scenario) check() error {
	blocks := [][]any{s.Stages, s.Drive}
	for _, o := range s.Objs {
		blocks = append(blocks, []any{o.Value})
	}
	for _, a := range s.Agens {
		blocks = append(blocks, a.Value.([]any))
	}
	for _, table := range []map[string][]any{s.Tasks, s.Gens} {
		for _, ops := range table {
			blocks = append(blocks, ops)
		}
	}
	for _, block := range blocks {
		for _, op := range block {
			list, _ := op.([]any)
			if len(list) == 0 {
				return fmt.Errorf("%v: not an op", op)
			}
			if _, ok := list[0].(string); !ok {
				return fmt.Errorf("%v: an op without a name", op)
			}
		}
	}
	return nil
}

// members is a JSON object of lists, in the order of the file.
type members []named

// UnmarshalJSON implements [json.Unmarshaler].
func (m *members) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	open, err := d.Token()
	if err != nil || open == nil { // null
		return err
	}
	if open != json.Delim('{') {
		return fmt.Errorf("%v: not an object", open)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value []any
		if err := d.Decode(&value); err != nil {
			return err
		}
		*m = append(*m, named{key.(string), value})
	}
	return nil
}

// TaskNames returns the names of the tasks, sorted.
func (s *scenario) TaskNames() []string { return slices.Sorted(maps.Keys(s.Tasks)) }
