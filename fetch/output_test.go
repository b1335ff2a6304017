package fetch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// file is a destination that can be slow, and full.
type file struct {
	mu     sync.Mutex
	text   bytes.Buffer
	writes int
	room   int           // bytes until it is full, if not 0
	gate   chan struct{} // each write waits for one, if not nil
	closed bool
}

var errFull = errors.New("no space left on device")

func (f *file) Write(b []byte) (int, error) {
	if f.gate != nil {
		<-f.gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if f.room > 0 && f.text.Len()+len(b) > f.room {
		return 0, errFull
	}
	return f.text.Write(b)
}

func (f *file) Close() error {
	f.closed = true
	return nil
}

func TestOutputWritesEveryRecordOnce(t *testing.T) {
	f := new(file)
	o := NewOutput("f", f, nil)
	var all sync.WaitGroup
	const adders, each = 4, 2000
	for a := range adders {
		all.Go(func() {
			for i := range each {
				if err := o.Add(&Record{URL: fmt.Sprint(a, "/", i)}); err != nil {
					t.Error(err)
				}
				if o.Full() {
					room := make(chan struct{})
					o.OnRoom(func() { close(room) })
					<-room
				}
			}
		})
	}
	all.Wait()
	if err := o.Close(); err != nil || !f.closed {
		t.Fatal(err, f.closed)
	}
	seen := map[string]int{}
	for line := range strings.Lines(f.text.String()) {
		var r struct{ URL string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		seen[r.URL]++
	}
	if len(seen) != adders*each || o.Written() != adders*each {
		t.Fatalf("%d different records, %d written", len(seen), o.Written())
	}
	if f.writes > adders*each/50 {
		t.Errorf("%d writes: not batched", f.writes)
	}
}

func TestOutputWritesSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(file)
		o := NewOutput("f", f, nil)
		for i := range 3 {
			o.Add(&Record{URL: "a"})
			o.Add(&Record{URL: "b"})
			time.Sleep(outputDelay)
			synctest.Wait()
			if o.Written() != 2*(i+1) || f.writes != i+1 {
				t.Fatalf("%d records in %d writes", o.Written(), f.writes)
			}
		}
		o.Close()
	})
}

func TestOutputIsFullWhenTheFileIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &file{gate: make(chan struct{})}
		o := NewOutput("f", f, nil)
		r := &Record{URL: strings.Repeat("x", 1000)}
		added := 0
		for ; !o.Full(); added++ {
			o.Add(r)
			synctest.Wait()
		}
		if added > 2*outputFull/1000 {
			t.Fatalf("%d records before it was full", added)
		}
		woken := 0
		o.OnRoom(func() { woken++ })
		synctest.Wait()
		if woken != 0 {
			t.Fatal("woken while it was full")
		}
		f.gate <- struct{}{}
		synctest.Wait()
		if woken != 1 || o.Full() {
			t.Fatal("not woken by room")
		}
		close(f.gate)
		if err := o.Close(); err != nil || o.Written() != added {
			t.Fatal(err, o.Written())
		}
	})
}

func TestOutputReportsAnErrorThatNamesTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &file{room: 100}
		var told []error
		o := NewOutput("records.jsonl", f, func(err error) { told = append(told, err) })
		o.Add(&Record{URL: "a"})
		time.Sleep(outputDelay)
		synctest.Wait()
		o.Add(&Record{URL: "b"})
		o.Add(&Record{URL: strings.Repeat("x", 1000)})
		time.Sleep(outputDelay)
		synctest.Wait()
		const want = "write records to records.jsonl: no space left on device (1 records are written)"
		if len(told) != 1 || told[0].Error() != want || !errors.Is(told[0], errFull) {
			t.Fatalf("told %v", told)
		}
		if err := o.Add(&Record{}); !errors.Is(err, errFull) {
			t.Fatal("Add after the error:", err)
		}
		if err := o.Close(); !errors.Is(err, errFull) || len(told) != 1 {
			t.Fatal("Close after the error:", err)
		}
		if o.Full() {
			t.Fatal("still full")
		}
	})
}

func TestCreateOutputNamesTheFileItCannotCreate(t *testing.T) {
	_, err := CreateOutput(filepath.Join(t.TempDir(), "none", "out"), nil)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Fatal(err)
	}
}

func TestOutputReportsADeviceThatIsFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	o, err := CreateOutput("/dev/full", nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Add(&Record{URL: "a"})
	if err := o.Close(); err == nil || !strings.Contains(err.Error(), "/dev/full") {
		t.Fatal(err)
	}
}

func BenchmarkOutput(b *testing.B) {
	o, err := CreateOutput(os.DevNull, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer o.Close()
	r := sampleRecord()
	b.ReportAllocs()
	for b.Loop() {
		o.Add(r)
	}
}
