package main

import (
	"crypto/tls"
	"log/slog"
	"net/http"

	"github.com/rondo-go/rondo/rondohttp"
)

// proxy returns the handler that passes requests on.
func (x *site) proxy(log *slog.Logger) http.Handler {
	o := rondohttp.ProxyOptions{PreserveHost: x.preserveHost, Timeout: x.timeout, Log: log}
	if x.insecure {
		o.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	return rondohttp.NewReverseProxy(x.upstream, o)
}
