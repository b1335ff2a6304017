# Everything a developer runs, by name. Only Go and make are needed, but for `docs` (python3).
#
#   make test PKG=./loop FLAGS='-run Timer -count=3'
#   make bench PKG=./coro BENCH=Yield
#   make conformance-fuzz N=2000 FAMILY=asyncio SEED=1

GO     ?= go
PKG    ?= ./...
FLAGS  ?=
BENCH  ?= .
N      ?= 500
SEED   ?= 0
FAMILY ?=
CASES  ?= *

PLATFORMS   = linux/arm64 darwin/amd64 darwin/arm64 windows/amd64
MODULES     = bench otel integration/web integration/drivers integration/h2spec
STATICCHECK = $(CURDIR)/.bin/staticcheck
SCRIPTS     = .ci/run $(shell find bench examples integration -name '*.sh' 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help all test race modules h2spec hub portable drivers test-drivers conformance autobahn conformance-fuzz lint bench cross docs clean

help: ## this list
	@awk -F': .*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

all: lint test race modules hub portable conformance cross ## what a change must pass

test: ## the test suite
	$(GO) test $(FLAGS) $(PKG)

race: ## the suite under the race detector (needs a C compiler)
	$(GO) test -race $(FLAGS) $(PKG)

modules: ## the tests of the modules that are apart
	cd otel && $(GO) test $(FLAGS) ./...
	cd integration/web && $(GO) test $(FLAGS) ./...
	cd integration/h2spec && $(GO) test $(FLAGS) ./...

h2spec: ## the conformance suite of HTTP/2 against the server, case by case
	cd integration/h2spec && $(GO) test -count=1 -v $(FLAGS) ./...

hub: ## the suite with the plain hub in place of symmetric transfer
	$(GO) test -tags rondo_hub $(FLAGS) $(PKG)

portable: ## the suite on the portable backend
	RONDO_POLLER=portable $(GO) test $(FLAGS) $(PKG)

drivers: ## database clients over Rondo, with PostgreSQL, MariaDB and Redis that it starts
	cd integration/drivers && $(GO) test $(FLAGS) ./...

test-drivers: drivers ## the same, and pgx's and go-redis's own suites over Rondo's connections
	cd integration/drivers && $(GO) run ./suites

conformance: ## traces of asyncio, generators and pipelines, compared with CPython's
	$(GO) run ./conformance/replay conformance/testdata/corpus/*.jsonl.gz conformance/testdata/examples/*.json

autobahn: ## the Autobahn suite against the WebSocket server and client (CASES=, quick for a part; needs Python 2.7)
	GO="$(GO)" integration/websocket/autobahn.sh '$(CASES)'

conformance-fuzz: ## the same for fresh scenarios (N=, SEED=, FAMILY=; needs CPython 3.13.0)
	$(GO) run ./conformance/fuzz -n $(N) -seed $(SEED) -family '$(FAMILY)'

lint: .bin/staticcheck ## gofmt, go vet (each system), staticcheck, tidy modules, scripts
	@fmt=$$(gofmt -l .); test -z "$$fmt" || { echo "not gofmt'd:"; echo "$$fmt"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags rondo_hub ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	@for m in $(MODULES); do (cd $$m && $(GO) vet ./...) || exit 1; done
	$(STATICCHECK) ./...
	$(STATICCHECK) -tags rondo_hub ./...
	GOOS=darwin $(STATICCHECK) ./...
	@for m in $(MODULES); do (cd $$m && $(STATICCHECK) ./...) || exit 1; done
	@for m in . $(MODULES) tools; do (cd $$m && $(GO) mod tidy -diff) || exit 1; done
	@for s in $(SCRIPTS); do bash -n $$s || exit 1; done
	@! grep -rnE '\b(TODO|FIXME)\b' --include='*.go' .

# Built once, for this machine: `go tool` would build it for the GOOS that it is to look at.
.bin/staticcheck: tools/go.mod tools/go.sum
	$(GO) build -C tools -o $(CURDIR)/$@ honnef.co/go/tools/cmd/staticcheck

bench: ## the kernel beside goroutines and channels (PKG=, BENCH=)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(FLAGS) $(PKG)

cross: ## build and vet, tests too, for every other platform
	@for p in $(PLATFORMS); do \
		echo "$$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build ./... && \
		GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) vet ./... || exit 1; \
	done

docs: docs/.venv/installed ## the documentation, in docs/_build/html
	docs/.venv/bin/sphinx-build -W --keep-going -q -b html docs docs/_build/html

docs/.venv/installed: docs/requirements.txt
	python3 -m venv docs/.venv
	docs/.venv/bin/pip install -q -r docs/requirements.txt
	touch $@

clean: ## what was built here
	rm -rf .bin docs/.venv docs/_build
	$(GO) clean ./...
