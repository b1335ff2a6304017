#!/usr/bin/env bash
# Builds the peers once and compares them on the loopback origin.
#
#   compare.sh [--job process|fetch|h2|h1tls] [-n URLS] [-c CONCURRENCY] [-r ROUNDS]
#              [--pin CORE|none] [--file NAME] [--json FILE] [PEER ...]
#
# process: fetch, SHA-256 and word count on all cores (HTTP/1.1, keep-alive)
# fetch:   read every body, no processing; adds curl, wget2, aria2c
# h2:      TLS + HTTP/2 (curl, wget2, h2load and *-nowork fetch only)
# h1tls:   process over TLS + HTTP/1.1
#
# Environment: DATA, the corpus (made by ../data.sh); RONDO, a built rondo (default: built from
# this checkout); BUILD, where peers are built (default: fetch-peers under TMPDIR); PYTHON.
#
# Needs: nginx, openssl, taskset, go, python3 with venv; for their peers cc with OpenSSL
# headers, cargo, curl, wget2, aria2, nghttp2-client (h2load). Debian:
#   apt-get install nginx openssl curl wget2 aria2 nghttp2-client libssl-dev time
set -euo pipefail
if [[ ! -f ${DATA:-}/MANIFEST.tsv ]]; then
	echo "compare.sh: no corpus: set DATA to a directory made by bench/data.sh (see bench/README.md)" >&2
	exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${BUILD:-${TMPDIR:-/tmp}/fetch-peers}
origin=$here/../origin/origin.sh
mkdir -p "$build"
if [[ -z ${RONDO:-} ]]; then
	(cd "$here/../.." && go build -o "$build/rondo" ./cmd/rondo)
	export RONDO=$build/rondo
fi
(cd "$here/peers/go" && go build -o "$build/" ./nethttp ./fasthttp ./rawepoll)
cc -O2 -o "$build/epoll_floor" "$here/peers/c/epoll_floor.c" -lcrypto || echo "no C floor" >&2
if [[ ! -e $build/venv ]]; then
	"${PYTHON:-python3}" -m venv "$build/venv" &&
		"$build/venv/bin/pip" install -q -r "$here/peers/python/requirements.txt" || echo "no Python peers" >&2
fi
if [[ ! -e $build/reqwest-fetch ]]; then
	cp -r "$here/peers/rust" "$build/rust" && (cd "$build/rust" && cargo build -q --release) &&
		cp "$build/rust/target/release/reqwest-fetch" "$build/" || echo "no Rust peer" >&2
fi
"$origin" stop 2>/dev/null || true
"$origin" start
trap '"$origin" stop' EXIT
PYTHONDONTWRITEBYTECODE=1 python3 "$here/compare.py" --build "$build" --origin "$origin" "$@"
