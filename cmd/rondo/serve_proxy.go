package main

import "net/http"

func (x *site) proxy() http.Handler { return http.NotFoundHandler() }
