//go:build linux

// Package server starts database servers for tests: in folders of their own, on free ports, without any setting of the
// machine's, and for no longer than this process lives.
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// ErrMissing says that a server's programs are not installed.
var ErrMissing = errors.New("not installed")

// patience bounds how long a server may take to start or to stop.
const patience = 60 * time.Second

// A Server is a running server.
type Server struct {
	// Addr is its host:port, Dir its folder.
	Addr, Dir string

	name  string
	cmd   *exec.Cmd
	quit  os.Signal // ends it soon, and in order
	said  *bytes.Buffer
	ended chan struct{}
}

// find returns the path of a program: from PATH, or else from where Debian puts it, the newest version first.
func find(name string, patterns ...string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, p := range patterns {
		if found, _ := filepath.Glob(p); len(found) > 0 {
			return slices.Max(found), nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, ErrMissing)
}

// owner is who servers run as: they refuse to be run by root.
func owner() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// newDir makes a folder that belongs to who runs the server.
func newDir(name string) (string, error) {
	dir, err := os.MkdirTemp("", "rondo-"+name+"-")
	if err != nil {
		return "", err
	}
	who, err := owner()
	if err == nil && who != nil {
		err = os.Chown(dir, int(who.Uid), int(who.Gid))
	}
	return dir, err
}

func command(dir, path string, args ...string) (*exec.Cmd, error) {
	who, err := owner()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who, Pdeathsig: syscall.SIGQUIT}
	return cmd, nil
}

// run runs a program to its end.
func run(dir, path string, args ...string) error {
	cmd, err := command(dir, path, args...)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := start(cmd); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(path), err, out.Bytes())
	}
	return nil
}

// starters runs functions on a thread that lives as long as the process: the kernel sends a child the signal of its
// parent's death when the thread that started it ends.
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

func start(cmd *exec.Cmd) error {
	result := make(chan error)
	starters() <- func() { result <- cmd.Start() }
	return <-result
}

// freePort returns a port that is free now. That somebody else takes it before the server does is possible, and tells
// itself.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// launch starts the server, in s.Dir, and waits until ready says so.
func (s *Server) launch(path string, args []string, ready func(context.Context) error) error {
	cmd, err := command(s.Dir, path, args...)
	if err != nil {
		return err
	}
	s.said = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = s.said, s.said
	if err := start(cmd); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.cmd, s.ended = cmd, make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(s.ended)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("start %s: it ended\n%s", s.name, s.said.Bytes())
		case <-ctx.Done():
			s.Stop()
			return fmt.Errorf("start %s: %w\n%s", s.name, err, s.said.Bytes())
		case <-time.After(20 * time.Millisecond): // of a server's time, which is real
		}
	}
}

// Kill ends the server's main process with SIGKILL, and waits for that.
func (s *Server) Kill() error {
	if err := s.cmd.Process.Kill(); err != nil {
		return err
	}
	<-s.ended
	return nil
}

// Stop ends the server and leaves its folder.
func (s *Server) Stop() error {
	_ = s.cmd.Process.Signal(s.quit) // it may have ended
	select {
	case <-s.ended:
		return nil
	case <-time.After(patience):
		_ = s.Kill()
		return fmt.Errorf("stop %s: it took longer than %v\n%s", s.name, patience, s.said.Bytes())
	}
}

// Close ends the server and removes its folder.
func (s *Server) Close() error {
	var err error
	if s.cmd != nil {
		err = s.Stop()
	}
	return errors.Join(err, os.RemoveAll(s.Dir))
}
