//go:build !unix

package fetch

import "os/exec"

func shell(command string) []string { return []string{"cmd", "/C", command} }

func ownGroup(*exec.Cmd) {}

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
