package rondohttp

import (
	"net/http"
)

func serveForeign(f HandlerFunc, w http.ResponseWriter, r *http.Request) {
	http.Error(w, "not served by a rondohttp.Server", http.StatusInternalServerError)
}
