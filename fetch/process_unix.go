//go:build unix

package fetch

import (
	"os/exec"
	"syscall"
)

// shell runs a command line.
func shell(command string) []string { return []string{"sh", "-c", command} }

// ownGroup puts the process in a group of its own: killing the group then reaches what a shell has started, and ^C at
// a terminal reaches rondo alone, which lets its workers finish what they have in hand.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills the group of a process that is not reaped yet, or whose group has other members still. A group
// whose last member is gone is no error.
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
