module github.com/rondo-go/rondo/bench

go 1.26.0

require (
	github.com/destel/rill v0.7.0
	github.com/reugn/go-streams v0.13.0
	github.com/rondo-go/rondo v0.0.0
	github.com/valyala/fasthttp v1.78.0
	golang.org/x/sync v0.25.0
	golang.org/x/sys v0.50.0
)

require (
	github.com/andybalholm/brotli v1.2.8 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/molecule-man/go-brrr v1.3.1 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

// The task benchmarks measure Rondo as it is in this checkout.
replace github.com/rondo-go/rondo => ../
