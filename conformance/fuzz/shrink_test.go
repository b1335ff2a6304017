package main

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func parse(t *testing.T, text string) scenario {
	t.Helper()
	var s scenario
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// has tells whether the scenario's JSON holds all of these.
func has(parts ...string) func(scenario) bool {
	return func(s scenario) bool {
		text := string(s.encode())
		return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
	}
}

func TestShrinkKeepsWhatMatters(t *testing.T) {
	for _, c := range []struct {
		name, scenario string
		differs        func(scenario) bool
		want           string
	}{
		{
			"ops in blocks",
			`{"family":"asyncio","theme":"queue","objs":{"Q":["queue",0],"L":["lock"],"F":["fut"]},
			  "tasks":{"t0":[["sleep",1],["timeout",2,[["with","L",[["try",[["get","Q"]],"all",[["sleep",3]],[["sleep",4]]]]]]]],
			           "t1":[["await","F"],["cancel","t0"]],
			           "main":[["spawn","t0"],["spawn","t1"],["sleep",1],["group",[["gspawn","t1"],["cancel","t0"]]],["setres","F",1]]}}`,
			has(`["get","Q"]`, `["cancel","t0"]`, `"Q":[`, `"t0":[[`, `"main":[[`),
			`{"family":"asyncio","objs":{"Q":["queue",0]},"tasks":{"main":[["cancel","t0"]],"t0":[["get","Q"]]},"theme":"queue"}`,
		},
		{
			"bodies and drive",
			`{"family":"generator","gens":{"g0":[["loop",2,[["from","g1"],["yield",1]]],["ret",1]],"g1":[["list",[1,2]],["mark",3]]},
			  "drive":[["new","a","g0"],["next","a"],["send","a",3],["new","b","g1"],["close","a"]]}`,
			has(`["from","g1"]`, `"g1":[`, `["close","a"]`),
			`{"drive":[["close","a"]],"family":"generator","gens":{"g0":[["from","g1"]],"g1":[]}}`,
		},
		{
			"stages",
			`{"family":"pipeline","stages":[["s0","sink"],["s1","sum"],["s2","batch",2,"s1"],["s3","broadcast",["s0","s2"]],["s4","guard","s3"]],
			  "drive":[["send","s4",1],["send","s4",2],["throw","s4","V",7],["close","s4"]]}`,
			joined,
			`{"drive":[["close","s2"]],"family":"pipeline","stages":[["s1","sum"],["s2","batch",2,"s1"]]}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := parse(t, c.scenario)
			before := string(s.encode())
			if !c.differs(s) {
				t.Fatal("it does not differ to begin with")
			}
			if got := string(shrink(s, c.differs).encode()); got != c.want {
				t.Errorf("shrunk to\n%s, want\n%s", got, c.want)
			}
			if after := string(s.encode()); after != before {
				t.Errorf("shrink changed its argument to\n%s", after)
			}
		})
	}
}

// joined tells of a pipeline whose last op closes a batch that feeds a sum,
// through whatever stages.
func joined(s scenario) bool {
	feeds := map[string][]string{}
	kinds := map[string]string{}
	for _, spec := range s["stages"].([]any) {
		spec := spec.([]any)
		name := spec[0].(string)
		kinds[name] = spec[1].(string)
		last := spec[len(spec)-1]
		if list, ok := last.([]any); ok {
			for _, x := range list {
				feeds[name] = append(feeds[name], x.(string))
			}
		} else if len(spec) > 2 {
			feeds[name] = append(feeds[name], last.(string))
		}
	}
	drive := s["drive"].([]any)
	if len(drive) == 0 {
		return false
	}
	op := drive[len(drive)-1].([]any)
	var reaches func(name string, want ...string) bool
	reaches = func(name string, want ...string) bool {
		if kinds[name] == "" {
			return false
		}
		if kinds[name] == want[0] {
			if want = want[1:]; len(want) == 0 {
				return true
			}
		}
		return slices.ContainsFunc(feeds[name], func(next string) bool { return reaches(next, want...) })
	}
	return op[0] == "close" && reaches(op[1].(string), "batch", "sum")
}

// Each step is to a smaller scenario, so that shrinking ends. What it was given
// stays as it was.
func TestReductionsAreSmaller(t *testing.T) {
	for _, family := range families {
		for i, s := range public(t, family, 25) {
			whole := string(s.encode())
			count := 0
			for c := range reductions(s) {
				count++
				if text := string(c.encode()); len(text) >= len(whole) {
					t.Fatalf("%s %d: a reduction of\n%s\nis\n%s", family, i, whole, text)
				}
			}
			if count == 0 {
				t.Errorf("%s %d: no reductions", family, i)
			}
			if string(s.encode()) != whole {
				t.Errorf("%s %d: reductions changed it", family, i)
			}
		}
	}
}

func TestSound(t *testing.T) {
	for text, want := range map[string]bool{
		`{"tasks":{"main":[["try",[["ret",1]],"all",[["ret",2]],[["sleep",1]]]]}}`:              true,
		`{"tasks":{"main":[["group",[["try",[],"all",[],[["sleep",1],["ret",2]]]]]]}}`:          false,
		`{"tasks":{"t0":[["sleep",1]]}}`:                                                        false,
		`{"gens":{"g0":[["try",[["yield",1]],"none",[],[["mark",0]]]]},"drive":[["new","g0"]]}`: true,
	} {
		if got := sound(parse(t, text)); got != want {
			t.Errorf("sound is %v for %s", got, text)
		}
	}
}

func TestScenarioFormatIsJSON(t *testing.T) {
	for _, family := range families {
		for _, s := range public(t, family, 5) {
			again := parse(t, s.format())
			delete(s, "theme") // is no part of what it does
			if string(again.encode()) != string(s.encode()) {
				t.Errorf("formatted as\n%s", s.format())
			}
		}
	}
}

// public returns some scenarios of the public corpus.
func public(t *testing.T, family string, n int) (all []scenario) {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "testdata", "corpus", family+".jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(z)
	for range n {
		var s struct{ Scenario scenario }
		if err := d.Decode(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s.Scenario)
	}
	return all
}

// testOracle is skipped where the very CPython of the kit is not there: nothing
// else of the project needs it.
func testOracle(t *testing.T) *oracle {
	t.Helper()
	o, err := findOracle(filepath.Join("..", "oracle", "oracle.py"))
	if err != nil {
		t.Skip(err)
	}
	return o
}

func TestOracleRuns(t *testing.T) {
	o := testOracle(t)
	got, err := o.run(parse(t, `{"family":"generator","gens":{"g0":[["yield",1]]},"drive":[["new","a","g0"],["next","a"]]}`))
	if want := []string{"> new a g0", "< ok", "> next a", "< yield 1"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("trace %q, error %v", got, err)
	}
	path := filepath.Join(t.TempDir(), "p.jsonl")
	if err := o.corpus(path, "pipeline", 7, 5); err != nil {
		t.Fatal(err)
	}
	if s, err := find(path, "pipeline-000011"); err != nil || s["family"] != "pipeline" {
		t.Errorf("scenario %v, error %v", s, err)
	}
}

func TestOracleRefusesUnsoundScenarios(t *testing.T) {
	o := testOracle(t)
	for _, text := range []string{
		`{"family":"generator","gens":{},"drive":[["next","a"]]}`,
		`{"family":"generator","gens":{"g0":[["from","g1"]]},"drive":[["new","a","g0"],["next","a"]]}`,
		`{"family":"asyncio","objs":{},"tasks":{"main":[["get","Q"]]}}`,
		`{"family":"pipeline","stages":[],"drive":[["close","s0"]]}`,
	} {
		if trace, err := o.run(parse(t, text)); err == nil {
			t.Errorf("%s: trace %q, no error", text, trace)
		}
	}
	// A KeyError that the scenario raises is none of these.
	if _, err := o.run(parse(t, `{"family":"asyncio","objs":{},"tasks":{"main":[["raise","K",1]]}}`)); err != nil {
		t.Error(err)
	}
}
