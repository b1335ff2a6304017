//go:build race

package rondotls

// raceEnabled says that sizes are not the usual ones.
const raceEnabled = true
