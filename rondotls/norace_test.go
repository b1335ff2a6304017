//go:build !race

package rondotls

const raceEnabled = false
