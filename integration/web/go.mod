module github.com/rondo-go/rondo/integration/web

go 1.26.0

require github.com/rondo-go/rondo v0.0.0

require github.com/mccutchen/go-httpbin/v2 v2.26.0 // indirect

replace github.com/rondo-go/rondo => ../../
