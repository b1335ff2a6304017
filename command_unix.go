//go:build unix

package rondo

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

var shell = []string{"sh", "-c"}

const terminate = syscall.SIGTERM

func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signalAll signals the group that the process leads, or the process alone if it
// leads none, under the lock. That all of them have ended is no error.
func (p *Process) signalAll(sig os.Signal) error {
	if p.Foreground {
		return p.process.Signal(sig)
	}
	err := syscall.Kill(-p.process.Pid, sig.(syscall.Signal))
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
