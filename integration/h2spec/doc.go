// Package h2spec runs the conformance suite of HTTP/2, github.com/summerwind/h2spec, against the server of rondohttp.
// It is a module of its own, so that nobody else needs the suite.
package h2spec
