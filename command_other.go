//go:build !unix

package rondo

import (
	"os"
	"os/exec"
)

var shell = []string{"cmd", "/C"}

var terminate = os.Kill // there is nothing gentler

func ownGroup(*exec.Cmd) {}

func (p *Process) signalAll(sig os.Signal) error { return p.process.Signal(sig) }
