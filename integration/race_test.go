//go:build linux && race

package integration

const raceEnabled = true

// raceFlags build a program as this test is built.
var raceFlags = []string{"-race"}
