#!/usr/bin/env bash
# Builds the task programs once, runs them interleaved and prints ns/op with the ratio to goroutines.
#
#   compare.sh [-r ROUNDS] [--pin CORE] [--runtimes A,B,...] [--cpu] [--scale X] [--json FILE] [BENCH ...]
#
# Environment: RONDO_TASKS, a built program for the row `rondo` (default: ./rondo, built from this checkout): `PROGRAM
# list` prints its benchmarks, `PROGRAM BENCH N` one JSON line. BUILD, where programs are built (default: tasks-peers
# under TMPDIR). PYTHON, default python3.13.
#
# Needs: go, taskset, python3; for their rows python3.13 with venv, cargo and node.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${BUILD:-${TMPDIR:-/tmp}/tasks-peers}
mkdir -p "$build"
if [[ -z ${RONDO_TASKS:-} ]]; then
	(cd "$here" && go build -o "$build/rondo-tasks" ./rondo)
	export RONDO_TASKS=$build/rondo-tasks
fi
(cd "$here" && go build -o "$build/tasks" ./peers/go)
if [[ ! -e $build/venv/installed ]]; then
	"${PYTHON:-python3.13}" -m venv "$build/venv" &&
		"$build/venv/bin/pip" install -q -r "$here/peers/python/requirements.txt" &&
		touch "$build/venv/installed" || { echo "no Python peers" >&2 && rm -rf "$build/venv"; }
fi
if [[ ! -e $build/tokio-tasks ]]; then
	rm -rf "$build/rust"
	cp -r "$here/peers/rust" "$build/rust" && (cd "$build/rust" && cargo build -q --release) &&
		cp "$build/rust/target/release/tokio-tasks" "$build/" || echo "no tokio" >&2
fi
PYTHONDONTWRITEBYTECODE=1 exec python3 "$here/compare.py" --build "$build" "$@"
