// Package web holds tests of rondohttp with what others have written: its client against go-httpbin, its server under routers. It is a module of its own, so that this does not
// become a dependency.
package web
