// Package web holds tests of rondohttp's client against go-httpbin. It is a module of its own, so that this does not
// become a dependency.
package web
