package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReplayGenerator(t *testing.T) { replayFamily(t, "generator", 400) }
func TestReplayPipeline(t *testing.T)  { replayFamily(t, "pipeline", 100) }
func TestReplayAsyncio(t *testing.T)   { replayFamily(t, "asyncio", 1500) }

// replayFamily runs the corpus of a family, and its examples. The corpus holds
// at least that many.
func replayFamily(t *testing.T, family string, least int) {
	paths := []string{filepath.Join("..", "testdata", "corpus", family+".jsonl.gz")}
	examples, err := filepath.Glob(filepath.Join("..", "testdata", "examples", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range examples {
		if data, err := os.ReadFile(path); err != nil {
			t.Fatal(err)
		} else if s, err := decodeScenario(data); err != nil {
			t.Errorf("%s: %v", path, err)
		} else if s.Family == family {
			paths = append(paths, path)
		}
	}
	if len(paths) == 1 {
		t.Errorf("no examples of family %s", family)
	}
	var out bytes.Buffer
	p := player{limit: hang, report: report{out: &out}}
	if err := p.play(paths); err != nil {
		t.Fatal(err)
	}
	p.report.close()
	if p.report.passed < least || p.report.failed+p.report.skipped > 0 {
		t.Errorf("\n%s", abridge(out.String(), 60))
	}
}

// abridge returns the first lines of text, and the last one.
func abridge(text string, most int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > most {
		lines = append(append(lines[:most-1:most-1], "..."), lines[len(lines)-1])
	}
	return strings.Join(lines, "\n")
}

// A family of tests: what its script says is what happens.
func init() {
	runners["test"] = func(s *scenario) (trace []string, err error) {
		for _, op := range s.Drive {
			switch op := op.([]any); op[0] {
			case "hang":
				select {}
			case "panic":
				panic("a fault")
			case "print":
				trace = append(trace, line(op[1:]...))
			default:
				return nil, &errSkip{op[0].(string)}
			}
		}
		return trace, nil
	}
}

const corpusOfAll = `{"id":"t-1","scenario":{"family":"test","drive":[["print",1],["print",2]]},"trace":["1","2"]}
{"id":"t-2","scenario":{"family":"test","drive":[["print",1],["print",2]]},"trace":["1","3"]}
{"id":"t-3","scenario":{"family":"test","drive":[["print",1]]},"trace":["1","2"]}
{"id":"t-4","scenario":{"family":"test","drive":[["print",1],["print",2]]},"trace":["1"]}
{"id":"t-5","scenario":{"family":"test","drive":[["fly"]]},"trace":[]}
{"id":"t-6","scenario":{"family":"test","drive":[["panic"]]},"trace":[]}
{"id":"t-7","scenario":{"family":"poetry"},"trace":[]}
`

func TestCommandTellsWhatDiffers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.jsonl")
	write(t, path, []byte(corpusOfAll))
	status, out := runCommand(t, "", "-v", path)
	if status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	for _, want := range []string{
		"passed t-1\n",
		"differs t-2: line 2\n  want 3\n  got  2\n",
		"differs t-3: line 2\n  want 2\n  got  (nothing: the trace has ended)\n",
		"differs t-4: line 2\n  want (nothing: the trace has ended)\n  got  2\n",
		"skipped t-5: op fly",
		"failed t-6: panic: a fault\n",
		`failed t-7: unknown family "poetry"`,
		"\n1 passed, 5 failed, 1 skipped\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	last := 0
	for _, id := range []string{"t-1", "t-2", "t-3", "t-4", "t-5", "t-6", "t-7"} {
		if at := strings.Index(out, id); at < last {
			t.Errorf("%s is not in its place:\n%s", id, out)
		} else {
			last = at
		}
	}
}

func TestCommandStatus(t *testing.T) {
	dir := t.TempDir()
	lines := strings.SplitAfter(corpusOfAll, "\n")
	good, skipped := filepath.Join(dir, "good.jsonl.gz"), filepath.Join(dir, "skipped.jsonl")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte(lines[0]))
	z.Close()
	write(t, good, packed.Bytes())
	write(t, skipped, []byte(lines[4]))
	broken := filepath.Join(dir, "broken.jsonl")
	write(t, broken, []byte(`{"id":`))
	example := filepath.Join(dir, "e.json")
	write(t, example, []byte(`{"family":"test","drive":[["print","a"]]}`))
	write(t, filepath.Join(dir, "e.trace"), []byte("a\n"))
	lonely := filepath.Join(dir, "lonely.json")
	write(t, lonely, []byte(`{"family":"test"}`))
	for _, c := range []struct {
		args   []string
		stdin  string
		status int
		out    string
	}{
		{[]string{good, example}, "", 0, "2 passed, 0 failed\n"},
		{[]string{skipped}, "", 1, "0 passed, 0 failed, 1 skipped\n"},
		{[]string{"-id", "t-1", good, skipped}, "", 0, "1 passed, 0 failed\n"},
		{[]string{broken}, "", 2, "unexpected EOF"},
		{[]string{lonely}, "", 2, "lonely.trace"},
		{[]string{filepath.Join(dir, "c.txt")}, "", 2, "c.txt"},
		{[]string{}, "", 2, "usage"},
		{[]string{"-run", example}, "", 0, "a\n"},
		{[]string{"-run", "-"}, `{"family":"test","drive":[["print",0.5]]}`, 0, "0.5\n"},
		{[]string{"-run", "-"}, `{"family":"test","drive":[["fly"]]}`, 1, "skipped: op fly"},
		{[]string{"-run", "-"}, `{"family":"test","drive":[["panic"]]}`, 1, "a fault"},
	} {
		status, out := runCommand(t, c.stdin, c.args...)
		if status != c.status || !strings.Contains(out, c.out) {
			t.Errorf("%v: status %d, want %d, with %q in:\n%s", c.args, status, c.status, c.out, out)
		}
	}
}

func TestExecuteGivesUpWhatHangs(t *testing.T) {
	// A short limit of real time: nothing but the clock can tell a hang.
	_, err := execute([]byte(`{"family":"test","drive":[["hang"]]}`), time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "hangs") {
		t.Errorf("error %v", err)
	}
}

// Unknown ops and stages of the real families are skipped, wherever they are.
func TestExecuteSkipsUnknownOps(t *testing.T) {
	for _, data := range []string{
		`{"family":"generator","drive":[["fly","a"]]}`,
		`{"family":"generator","gens":{"g":[["try",[["fly"]],"all",[],[["yield",1]]]]},"drive":[["new","a","g"],["next","a"]]}`,
		`{"family":"generator","gens":{"g":[["from","h"]],"h":[["fly"]]},"drive":[["new","a","g"],["iter","a"]]}`,
		`{"family":"pipeline","stages":[["s","fly"]],"drive":[]}`,
		`{"family":"pipeline","stages":[["s","sink"]],"drive":[["fly","s"]]}`,
	} {
		if trace, err := execute([]byte(data), hang); !isSkip(err) || !strings.Contains(err.Error(), "fly") {
			t.Errorf("%s: trace %q, error %v", data, trace, err)
		}
	}
}

func runCommand(t *testing.T, stdin string, args ...string) (status int, out string) {
	t.Helper()
	var buf bytes.Buffer
	status = command(args, strings.NewReader(stdin), &buf, &buf)
	return status, buf.String()
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestScenarioKeepsTheOrderOfObjects(t *testing.T) {
	s, err := decodeScenario([]byte(`{"family":"asyncio","objs":{"b":["fut"],"a":["sem",2]},` +
		`"agens":{"z":[["yield",1]],"y":[]},"tasks":{"main":[["ret",null]]}}`))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range append(s.Objs, s.Agens...) {
		names = append(names, o.Name)
	}
	if got := strings.Join(names, " "); got != "b a z y" {
		t.Errorf("order %s", got)
	}
	if got := show(s.Tasks["main"]); got != "[[ret,none]]" {
		t.Errorf("main %s", got)
	}
}

// What decodes consists of ops with names, so that no interpreter panics on it
// before it looks at arguments.
func FuzzScenario(f *testing.F) {
	f.Add([]byte(`{"family":"asyncio","objs":{"F":["fut"]},"agens":null,"tasks":{"main":[["sleep",0]]}}`))
	f.Add([]byte(`{"family":"generator","gens":{"g0":[["yield","$ret"]]},"drive":[["new","a","g0"]]}`))
	f.Add([]byte(`{"family":"pipeline","stages":[["all","sink"]],"drive":[["send","all",4]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeScenario(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Errorf("decoded what is no JSON")
		}
		for _, op := range append(s.Drive, s.Stages...) {
			_ = op.([]any)[0].(string)
		}
		for _, o := range s.Objs {
			_ = o.Value.([]any)[0].(string)
		}
	})
}

// The "ret" of a try whose last block raises is void, and so is its value if the
// error is caught further out.
func TestGenBodyVoidsRetWhenFinalRaises(t *testing.T) {
	trace, err := execute([]byte(`{"family":"generator",
		"gens":{"g0":[["try",[["try",[["ret",7]],"none",[],[["raise","V",1]]]],"V",[],[["mark","$ret"]]]]},
		"drive":[["new","a","g0"],["next","a"]]}`), hang)
	want := "> new a g0\n< ok\n> next a\n. a caught ValueError:1\n. a mark none\n< return none"
	if got := strings.Join(trace, "\n"); err != nil || got != want {
		t.Errorf("error %v, trace\n%s", err, got)
	}
}
