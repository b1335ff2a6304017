module github.com/rondo-go/rondo

go 1.26
