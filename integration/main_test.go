//go:build linux

// Package integration holds tests of the command and of the packages against real servers, in processes of their own:
// nginx, and the hostile origin of bench/origin. Set DATA to a directory that bench/data.sh made, and the corpus of the
// published figures is fetched too.
package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// work is the folder of everything that outlives one test.
var work string

func TestMain(m *testing.M) {
	// Under the race detector a program sleeps a second in its exit, unless it is told not to.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	if os.Getenv("RONDO_SOAK_PEER") != "" {
		if err := soakPeer(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var err error
	if work, err = os.MkdirTemp("", "rondo-integration-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(work)
	os.Exit(status)
}

// built holds the programs that are built, each once.
var built sync.Map // name -> func() (string, error)

// program returns the path of a program: pkg in the module at dir, built with flags.
func program(t *testing.T, name, dir, pkg string, flags ...string) string {
	t.Helper()
	build, _ := built.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		args := append([]string{"build", "-o", filepath.Join(work, name)}, flags...)
		cmd := exec.Command("go", append(args, pkg)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = errors.New(string(out) + err.Error())
		}
		return filepath.Join(work, name), err
	}))
	path, err := build.(func() (string, error))()
	if err != nil {
		t.Fatalf("build %s: %v", pkg, err)
	}
	return path
}

// needs returns the path of a tool. Where it is missing the test is skipped, and under CI it fails.
func needs(t *testing.T, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is missing, and CI must not skip this test", tool)
	default:
		t.Skipf("%s is missing: install it to run this test", tool)
	}
	return path
}

// starters runs functions on a thread that lives as long as the process.
var starters = sync.OnceValue(func() chan<- func() {
	queue := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range queue {
			f()
		}
	}()
	return queue
})

// start starts cmd so that it dies with this process, whatever ends that. The kernel sends the signal when the thread
// that started the child ends, which is why that is always the same one.
func start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	result := make(chan error)
	starters() <- func() { result <- cmd.Start() }
	return <-result
}

// startServer starts cmd for the time of the test.
func startServer(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // lets nginx end its worker
		late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() > 0 || !late.Stop() {
			t.Errorf("%s: %v", cmd.Path, err)
		}
	})
}
