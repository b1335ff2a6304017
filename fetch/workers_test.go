package fetch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestMain lets the test binary be a worker process itself.
func TestMain(m *testing.M) {
	switch kind := os.Getenv("FETCH_TEST_WORKER"); kind {
	case "":
		// Under the race detector a program sleeps a second in its exit, unless it is told not to.
		os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
		os.Exit(m.Run())
	case "absent":
		fmt.Fprintln(os.Stderr, "no such model")
		os.Exit(3)
	default:
		testWorker()
	}
}

// testWorker counts words, and does what the body tells it to.
func testWorker() {
	in := bufio.NewReader(os.Stdin)
	for {
		_, n, err := readFrame(in)
		if err != nil {
			os.Exit(0)
		}
		body := make([]byte, n)
		io.ReadFull(in, body)
		words := strings.Fields(string(body))
		order := ""
		if len(words) > 0 {
			order = words[0]
		}
		if rest, ok := strings.CutPrefix(order, "once-"); ok { // misbehave the first time only
			if f, err := os.OpenFile(words[1], os.O_CREATE|os.O_EXCL, 0o600); err == nil {
				f.Close()
				order = rest
			}
		}
		switch order {
		case "exit":
			fmt.Fprintln(os.Stderr, "about to\n\nbreak")
			os.Exit(7)
		case "last": // answers, then ends
			fmt.Println(len(words))
			os.Exit(0)
		case "garbage":
			fmt.Println("words: 3")
		case "two":
			fmt.Println("1\n2\n3")
		case "huge":
			fmt.Println(strings.Repeat("1", 1000))
		case "hang":
			select {}
		case "pid":
			fmt.Println(os.Getpid())
		default:
			fmt.Printf(`{"words":%d}`+"\n", len(words))
		}
	}
}

func testWorkers(t *testing.T, kind string, change func(*WorkersConfig)) *Workers {
	t.Setenv("FETCH_TEST_WORKER", kind)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := WorkersConfig{N: 2, Argv: []string{exe}, Name: "count", Queue: 100, MaxAnswer: 500}
	if change != nil {
		change(&cfg)
	}
	w := NewWorkers(t.Context(), cfg)
	var once sync.Once
	t.Cleanup(func() { once.Do(w.Close) })
	return w
}

func process1(w *Workers, body string) (string, error) {
	r, err := w.Process(Document{URL: "http://h/\"\xff", Status: 200}, []byte(body))
	return string(r), err
}

func TestWorkersProcessManyRecords(t *testing.T) {
	w := testWorkers(t, "words", nil)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			body := strings.Repeat("word ", i*200) // up to 200 KB: more than a pipe holds
			if got, err := process1(w, body); err != nil || got != fmt.Sprintf(`{"words":%d}`, i*200) {
				t.Errorf("%d: %s, %v", i, got, err)
			}
		})
	}
	all.Wait()
}

func TestWorkersReplaceAWorkerThatDiesAndRetryItsRecord(t *testing.T) {
	w := testWorkers(t, "words", nil)
	for _, how := range []string{"exit", "garbage", "huge"} {
		mark := t.TempDir() + "/mark"
		if got, err := process1(w, "once-"+how+" "+mark); err != nil || got != `{"words":2}` {
			t.Errorf("%s: %s, %v", how, got, err)
		}
	}
}

func TestWorkersReportARecordThatKillsTwice(t *testing.T) {
	var mu sync.Mutex
	var stderr []string
	w := testWorkers(t, "words", func(c *WorkersConfig) {
		c.Timeout = 300 * time.Millisecond // how long a hanging worker is given, in real time: it is a real process
		c.Stderr = func(line []byte) {
			mu.Lock()
			defer mu.Unlock()
			stderr = append(stderr, string(line))
		}
	})
	for how, want := range map[string]string{
		"exit":    `worker "count": died: exit status 7; its last words: break`,
		"garbage": `worker "count": answered with no JSON: "words: 3"`,
		"huge":    `worker "count": answered with more than 500 bytes`,
		"hang":    `worker "count": no answer in 300ms`,
	} {
		if _, err := process1(w, how); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", how, err, want)
		}
		if got, err := process1(w, "a b c"); err != nil || got != `{"words":3}` {
			t.Errorf("after %s: %s, %v", how, got, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(stderr, "|"); got != "about to|break|about to|break" {
		t.Errorf("stderr %q", got)
	}
	if w.Err() != nil {
		t.Errorf("the pool gave up: %v", w.Err())
	}
}

func TestWorkersTakeAnAnswerOfAWorkerThatThenEnds(t *testing.T) {
	w := testWorkers(t, "words", func(c *WorkersConfig) { c.N = 1 })
	for range 20 {
		if got, err := process1(w, "last one"); err != nil || got != "2" {
			t.Fatal(got, err)
		}
	}
}

func TestWorkersRefuseAWorkerThatSaysTooMuch(t *testing.T) {
	w := testWorkers(t, "words", func(c *WorkersConfig) { c.N = 1 })
	for range 5 {
		_, _ = process1(w, "two")
		if got, err := process1(w, "a b c d e"); err != nil || got != `{"words":5}` && got != "2" {
			t.Fatal(got, err)
		}
	}
}

func TestWorkersReplaceAWorkerKilledAtRest(t *testing.T) {
	w := testWorkers(t, "words", func(c *WorkersConfig) { c.N = 1 })
	for range 5 {
		pid, err := process1(w, "pid")
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(pid)
		p, err := os.FindProcess(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		if got, err := process1(w, "pid"); err != nil || got == pid {
			t.Fatalf("got %s after %s, %v", got, pid, err)
		}
	}
}

func TestWorkersGiveUpOnACommandThatNeverWorks(t *testing.T) {
	for name, cfg := range map[string]func(*WorkersConfig){
		"dies":    func(c *WorkersConfig) {},
		"missing": func(c *WorkersConfig) { c.Argv = []string{"/nonexistent/program"} },
	} {
		w := testWorkers(t, "absent", cfg)
		for range 30 {
			if _, err := process1(w, "x"); err == nil {
				t.Fatalf("%s: no error", name)
			}
		}
		err := w.Err()
		want := map[string]string{"dies": "no such model (14 times, without a single answer)", "missing": "no such file"}[name]
		if err == nil || runtime.GOOS != "windows" && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWorkersEndWithTheirContext(t *testing.T) {
	t.Setenv("FETCH_TEST_WORKER", "words")
	exe, _ := os.Executable()
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	w := NewWorkers(ctx, WorkersConfig{N: 1, Argv: []string{exe}, Queue: 10})
	if _, err := w.Process(Document{}, []byte("a")); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if _, err := w.Process(Document{}, []byte("hang")); !errors.Is(err, reason) {
				t.Errorf("%v", err)
			}
		})
	}
	cancel(reason)
	all.Wait()
	w.Close()
}

func TestWorkersCloseLeavesNoProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks into /proc")
	}
	t.Setenv("FETCH_TEST_WORKER", "words")
	exe, _ := os.Executable()
	// The shell has a child that doesn't read, and so doesn't end by itself: killing takes the group.
	argv := ShellCommand("sleep 1000 & " + exe + "; wait")
	w := NewWorkers(t.Context(), WorkersConfig{N: 2, Argv: argv, Grace: 50 * time.Millisecond})
	pid, err := w.Process(Document{}, []byte("pid"))
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + string(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	group := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[2]
	if len(runningInGroup(t, group)) == 0 {
		t.Fatal("the group is not found while it runs")
	}
	w.Close()
	var left []string
	for range 200 {
		if left = runningInGroup(t, group); len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond) // the kernel takes the killed children of the worker down in real time
	}
	t.Fatalf("process group %s still runs: %q", group, left)
}

// runningInGroup lists the processes of a group, but for those that are dead and wait for somebody else to reap them.
func runningInGroup(t *testing.T, group string) (found []string) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	if len(stats) == 0 {
		t.Fatal("/proc lists no process")
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // gone meanwhile
		}
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if f[2] == group && f[0] != "Z" && f[0] != "X" {
			found = append(found, string(stat))
		}
	}
	return found
}

func TestFrameReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := Document{URL: rapid.String().Draw(t, "url"), Status: rapid.IntRange(0, 599).Draw(t, "status"), ContentType: rapid.String().Draw(t, "type")}
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		frame := append(appendFrame(nil, doc, len(body)), body...)
		var header map[string]any
		if err := json.Unmarshal(frame[:bytes.IndexByte(frame, '\n')], &header); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReaderSize(bytes.NewReader(frame), 16)
		got, n, err := readFrame(r)
		rest, _ := io.ReadAll(r)
		if err != nil || got != doc || int(n) != len(body) || !bytes.Equal(rest, body) {
			t.Fatalf("%+v %d %q %v", got, n, rest, err)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte(`{"url":"http://h/","status":200,"bytes":2}` + "\nabc"))
	f.Add([]byte(`{"bytes":-1}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		doc, n, err := readFrame(bufio.NewReaderSize(bytes.NewReader(b), 16))
		if err == nil && (n < 0 || !json.Valid(bytes.TrimSpace(appendFrame(nil, doc, int(n))))) {
			t.Fatalf("%q: %+v, %d", b, doc, n)
		}
		_ = ServeWorker(bytes.NewReader(b), io.Discard, new(Words))
	})
}

func TestServeWorkerAnswersEachFrame(t *testing.T) {
	var in bytes.Buffer
	big := strings.Repeat("word ", 50_000)
	for _, body := range []string{"one two", "", big} {
		in.Write(appendFrame(nil, Document{URL: "http://h/"}, len(body)))
		in.WriteString(body)
	}
	var out bytes.Buffer
	if err := ServeWorker(&in, &out, new(Words)); err != nil {
		t.Fatal(err)
	}
	if want := `{"words":2,"lines":0}` + "\n" + `{"words":0,"lines":0}` + "\n" + `{"words":50000,"lines":0}` + "\n"; out.String() != want {
		t.Fatal(out.String())
	}
	for _, bad := range []string{"{", "{}\n", `{"bytes":5}` + "\nabc", "x\n"} {
		if err := ServeWorker(strings.NewReader(bad), io.Discard, new(Words)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func BenchmarkWorkers(b *testing.B) {
	b.Setenv("FETCH_TEST_WORKER", "words")
	exe, _ := os.Executable()
	w := NewWorkers(context.Background(), WorkersConfig{N: 2, Argv: []string{exe}})
	defer w.Close()
	body := bytes.Repeat([]byte("some words "), 1400)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Process(Document{}, body); err != nil {
			b.Fatal(err)
		}
	}
}

func TestWorkersSpeakPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: no python3, so the example worker has not been run")
	}
	w := testWorkers(t, "", func(c *WorkersConfig) {
		c.Argv = ShellCommand(python + " ../examples/words_worker.py")
		c.Stderr = func(line []byte) { t.Logf("stderr: %s", line) }
	})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			body := []byte(strings.Repeat("word\n\xff\v", i*1000))
			want, _ := naiveWords(body)
			if got, err := process1(w, string(body)); err != nil || got != fmt.Sprintf(`{"words": %d}`, want) {
				t.Errorf("got %s, %v; want %d words", got, err, want)
			}
		})
	}
	all.Wait()
}
