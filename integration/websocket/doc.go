// Package websocket holds tests of rondohttp/websocket and rondohttp/sse with what others have written: the Autobahn test suite, in both directions,
// and a browser. Each says how to get what it needs.
package websocket
