//go:build unix

package rondo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// helperVar makes the test binary a helper process: it names what it is to do.
const helperVar = "RONDO_TEST_PROCESS"

func init() {
	switch os.Getenv(helperVar) {
	case "":
		return
	case "chatter": // writes 100 MB to both while it reads all of its input
		const each = 100 << 20
		done := make(chan int64)
		for _, f := range []*os.File{os.Stdout, os.Stderr} {
			go func() {
				n, _ := io.Copy(f, io.LimitReader(zeros{}, each))
				done <- n
			}()
		}
		n, _ := io.Copy(io.Discard, os.Stdin)
		if n != each || <-done != each || <-done != each {
			os.Exit(3)
		}
	case "deaf": // does not end when it is asked to
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		select {}
	}
	os.Exit(0)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// helper returns a process that runs this binary as a helper.
func helper(ctx context.Context, what string) *rondo.Process {
	p := rondo.Command(ctx, os.Args[0])
	p.Env = append(os.Environ(), helperVar+"="+what)
	return p
}

// runTidy runs fn on a loop, and fails if a descriptor or a child is left.
func runTidy(t *testing.T, fn func(ctx context.Context) error) {
	t.Helper()
	if err := rondo.Run(func(context.Context) error { return nil }); err != nil { // what is opened once
		t.Fatal(err)
	}
	r, w, err := os.Pipe() // Go's own poller is one of these
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	before := openFiles(t)
	err = rondo.Run(fn)
	if err != nil {
		t.Error(err)
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("children are left: %v", left)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // there is none but on Linux
	}
	return len(entries)
}

// stat returns the fields of /proc/PID/stat behind the name, which begin with the
// state and the parent.
func stat(pid string) []string {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

// children returns the children of this process, zombies and all.
func children(t *testing.T) (list []string) {
	t.Helper()
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if s := stat(e.Name()); len(s) > 1 && s[1] == strconv.Itoa(os.Getpid()) {
			list = append(list, e.Name()+" "+s[0])
		}
	}
	return list
}

// gone waits until a process is no more, or only a zombie of somebody else's.
func gone(ctx context.Context, t *testing.T, pid string) {
	t.Helper()
	for range 500 {
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatalf("%q is no process", pid)
		}
		if s := stat(pid); errors.Is(syscall.Kill(n, 0), syscall.ESRCH) || s != nil && s[0] == "Z" {
			return
		}
		// Its end is told to its parent alone, which is not us.
		_ = rondo.Cleanup(ctx, time.Second, func(ctx context.Context) error { return rondo.Sleep(ctx, 10*time.Millisecond) })
	}
	t.Errorf("process %s is still there", pid)
}

func TestProcessCommunicatesBothWays(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		out, serr, err := rondo.Command(ctx, "cat").Communicate(ctx, []byte("hello"))
		if string(out) != "hello" || len(serr) != 0 || err != nil {
			t.Errorf("cat: %q, %q, %v", out, serr, err)
		}
		out, serr, err = rondo.Shell(ctx, "cat >&2; echo out").Communicate(ctx, []byte("err"))
		if string(out) != "out\n" || string(serr) != "err" || err != nil {
			t.Errorf("sh: %q, %q, %v", out, serr, err)
		}
		return nil
	})
}

func TestProcessCommunicateTakesMuchBothWays(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		out, serr, err := helper(ctx, "chatter").Communicate(ctx, make([]byte, 100<<20))
		if len(out) != 100<<20 || len(serr) != 100<<20 || err != nil {
			t.Errorf("%d bytes, %d bytes, %v", len(out), len(serr), err)
		}
		return nil
	})
}

func TestProcessNeedNotReadItsInput(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		out, _, err := rondo.Command(ctx, "true").Communicate(ctx, make([]byte, 10<<20))
		if len(out) != 0 || err != nil {
			t.Errorf("%q, %v", out, err)
		}
		return nil
	})
}

func TestProcessPipesAreConns(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		p := rondo.Command(ctx, "cat")
		defer p.Close()
		in, err := p.StdinPipe()
		if err != nil {
			return err
		}
		out, err := p.StdoutPipe()
		if err != nil {
			return err
		}
		if _, err := p.StdinPipe(); err == nil {
			t.Error("a second pipe for the same stream")
		}
		if err := p.Start(); err != nil {
			return err
		}
		buf := make([]byte, 10)
		for range 3 { // in turn
			if _, err := io.WriteString(in, "ping"); err != nil {
				return err
			}
			if n, err := io.ReadAtLeast(out, buf, 4); string(buf[:n]) != "ping" || err != nil {
				t.Errorf("%q, %v", buf[:n], err)
			}
		}
		in.Close()
		if rest, err := io.ReadAll(out); len(rest) != 0 || err != nil {
			t.Errorf("the rest: %q, %v", rest, err)
		}
		state, err := p.Wait(ctx)
		if err != nil || !state.Success() {
			t.Errorf("Wait: %v, %v", state, err)
		}
		if err := p.Start(); !errors.Is(err, rondo.ErrStarted) {
			t.Errorf("a second Start: %v", err)
		}
		if err := p.Kill(); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("Kill after the end: %v", err)
		}
		return nil
	})
}

func TestProcessIsSetUp(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	runTidy(t, func(ctx context.Context) error {
		f, err := os.Create(filepath.Join(dir, "out"))
		if err != nil {
			return err
		}
		defer f.Close()
		p := rondo.Shell(ctx, "pwd; echo $COLOUR; echo oops >&2; cat")
		p.Dir, p.Env, p.Stdout, p.MergeStderr = dir, []string{"COLOUR=red", "PATH=" + os.Getenv("PATH")}, f, true
		if err := p.Run(); err != nil {
			return err
		}
		got, err := os.ReadFile(f.Name())
		if want := dir + "\nred\noops\n"; string(got) != want || err != nil {
			t.Errorf("the file holds %q, want %q; %v", got, want, err)
		}
		p = rondo.Shell(ctx, "echo out; echo err >&2")
		p.MergeStderr = true
		if out, err := p.Output(); string(out) != "out\nerr\n" || err != nil {
			t.Errorf("merged: %q, %v", out, err)
		}
		p = rondo.Command(ctx, "true")
		p.Dir = filepath.Join(dir, "none")
		if err := p.Run(); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), p.Dir) {
			t.Errorf("no folder: %v", err)
		}
		return nil
	})
}

func TestProcessErrorsSayWhy(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		err := rondo.Command(ctx, "no-such-program").Run()
		if !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "no-such-program") ||
			!strings.Contains(err.Error(), os.Getenv("PATH")) {
			t.Errorf("not found: %v", err)
		}
		const line = "seq 10000 >&2; echo it broke >&2; exit 7"
		_, oerr := rondo.Shell(ctx, line).Output()
		for _, err := range []error{rondo.Shell(ctx, line).Run(), oerr} {
			var ee *exec.ExitError
			if !errors.As(err, &ee) || ee.ExitCode() != 7 || !strings.HasSuffix(err.Error(), "10000; it broke") ||
				!bytes.HasSuffix(ee.Stderr, []byte("10000\nit broke\n")) || len(ee.Stderr) > 4<<10 {
				t.Errorf("failed: %v", err)
			}
		}
		if _, err := rondo.Command(ctx, "true").Wait(ctx); !errors.Is(err, rondo.ErrNotStarted) {
			t.Errorf("not started: %v", err)
		}
		return nil
	})
	if err := rondo.Command(context.Background(), "true").Run(); !errors.Is(err, rondo.ErrNotTask) {
		t.Errorf("off the loop: %v", err)
	}
}

func TestProcessIsSignaled(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		for _, send := range []func(*rondo.Process) error{
			(*rondo.Process).Kill, (*rondo.Process).Terminate,
			// SIGHUP may be ignored, below nohup.
			func(p *rondo.Process) error { return p.Signal(syscall.SIGUSR1) },
		} {
			p := rondo.Command(ctx, "sleep", "1000")
			if err := p.Start(); err != nil {
				return err
			}
			if err := send(p); err != nil {
				t.Error(err)
			}
			state, err := p.Wait(ctx)
			if err == nil || !strings.Contains(state.String(), "signal") {
				t.Errorf("%v, %v", state, err)
			}
		}
		return nil
	})
}

// family starts a shell with a grandchild in it, and returns the grandchild's number.
func family(ctx context.Context, t *testing.T, line string) (*rondo.Process, string) {
	t.Helper()
	p := rondo.Shell(ctx, line)
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 20)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return p, strings.TrimSpace(string(buf[:n]))
}

const sleepingFamily = "sleep 1000 & echo $!; wait"

func TestProcessIsEndedWithItsFamilyWhenCanceled(t *testing.T) {
	for name, line := range map[string]string{
		"gentle":   sleepingFamily,
		"stubborn": `sh -c 'trap "" TERM; echo $$; exec sleep 1000' & wait`, // only the shell ends when it is asked to
	} {
		t.Run(name, func(t *testing.T) {
			runTidy(t, func(ctx context.Context) error {
				var pid string
				x := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
					var p *rondo.Process
					p, pid = family(ctx, t, line)
					defer p.Close()
					_, err := p.Wait(ctx)
					return struct{}{}, err
				})
				for pid == "" {
					if err := rondo.Sleep(ctx, time.Millisecond); err != nil { // the shell has to start
						return err
					}
				}
				x.Cancel("")
				if _, err := x.Await(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("the task's error: %v", err)
				}
				gone(ctx, t, pid)
				return nil
			})
		})
	}
}

func TestProcessEndsWithItsContext(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		err := rondo.Timeout(ctx, 50*time.Millisecond, func(ctx context.Context) error {
			return rondo.Command(ctx, "sleep", "1000").Run()
		})
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("timeout: %v", err)
		}
		std, cancel := context.WithCancel(ctx)
		p, pid := family(std, t, sleepingFamily)
		cancel()
		if _, err := p.Wait(ctx); err == nil {
			t.Error("no error of a process that was ended")
		}
		gone(ctx, t, pid)
		p.Close()
		// Nobody waits for this one, and its task ends.
		x := rondo.Spawn(ctx, func(ctx context.Context) (*rondo.Process, error) {
			p := rondo.Command(ctx, "sleep", "1000")
			return p, p.Start()
		})
		if p, err = x.Await(ctx); err != nil {
			return err
		}
		if _, err := p.Wait(ctx); err == nil {
			t.Error("a process has survived its task")
		}
		return nil
	})
}

func TestProcessIsKilledIfItDoesNotEnd(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		p := helper(ctx, "deaf")
		p.WaitDelay = 50 * time.Millisecond
		out, err := p.StdoutPipe()
		if err != nil {
			return err
		}
		if err := p.Start(); err != nil {
			return err
		}
		if _, err := out.Read(make([]byte, 10)); err != nil {
			return err
		}
		p.Close()
		state, err := p.Wait(ctx)
		if ws, ok := state.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
			t.Errorf("%v, %v", state, err)
		}
		return nil
	})
}

func TestProcessCommunicateDoesNotWaitForGrandchildren(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		p := rondo.Shell(ctx, "sleep 1000 & echo $!")
		p.WaitDelay = 50 * time.Millisecond
		out, _, err := p.Communicate(ctx, nil)
		if !errors.Is(err, rondo.ErrWaitDelay) {
			t.Errorf("error %v", err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil {
			return err
		}
		return syscall.Kill(pid, syscall.SIGKILL) // it is nobody's now
	})
}

func TestProcessCommunicateEndsItWhenCanceled(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		var p *rondo.Process
		x := rondo.Spawn(ctx, func(ctx context.Context) (string, error) {
			p = rondo.Shell(ctx, "echo first; sleep 1000")
			out, _, err := p.Communicate(ctx, make([]byte, 1<<20))
			return string(out), err
		})
		if err := rondo.Sleep(ctx, 50*time.Millisecond); err != nil { // the shell has to come to its sleep
			return err
		}
		x.Cancel("")
		if _, err := x.Await(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if err := p.Signal(syscall.Signal(0)); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("the process is still there: %v", err)
		}
		return nil
	})
}

func TestProcessesRunManyAtOnce(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		return rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for i := range 50 {
				g.Go(func(ctx context.Context) error {
					want := strconv.Itoa(i)
					out, serr, err := rondo.Shell(ctx, "tee /dev/stderr").Communicate(ctx, []byte(want))
					if string(out) != want || string(serr) != want {
						t.Errorf("process %d: %q, %q", i, out, serr)
					}
					return err
				})
			}
			return nil
		})
	})
}

func TestProcessIsWaitedForOffTheLoop(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		p := rondo.Shell(ctx, "exit 2")
		if err := p.Start(); err != nil {
			return err
		}
		_, err := rondo.ToThread(ctx, func() (*os.ProcessState, error) { return p.Wait(context.Background()) })
		var ee *exec.ExitError
		if !errors.As(err, &ee) || ee.ExitCode() != 2 {
			t.Errorf("error %v", err)
		}
		return nil
	})
}

func TestProcessIsWaitedForOnTheVirtualClock(t *testing.T) {
	err := rondo.Run(func(ctx context.Context) error {
		out, err := rondo.Shell(ctx, "sleep 0.1; echo done").Output()
		if string(out) != "done\n" {
			t.Errorf("%q", out)
		}
		return err
	}, rondo.WithVirtualTime(), rondo.WithExitWhenIdle())
	if err != nil {
		t.Error(err)
	}
}

func TestProcessInTheForegroundStaysInTheGroup(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		for _, foreground := range []bool{false, true} {
			p := rondo.Command(ctx, "sleep", "1000")
			p.Foreground = foreground
			if err := p.Start(); err != nil {
				return err
			}
			group, err := syscall.Getpgid(p.PID())
			if err != nil || (group == syscall.Getpgrp()) != foreground || (group == p.PID()) == foreground {
				t.Errorf("foreground %v: the group is %d, %v", foreground, group, err)
			}
			p.Close()
		}
		return nil
	})
}

func TestProcessCloseWithoutStartClosesThePipes(t *testing.T) {
	runTidy(t, func(ctx context.Context) error {
		p := rondo.Command(ctx, "cat")
		_, err := p.StdinPipe()
		_, oerr := p.StdoutPipe()
		_, eerr := p.StderrPipe()
		return errors.Join(err, oerr, eerr, p.Close(), p.Close())
	})
}
