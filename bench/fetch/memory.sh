#!/usr/bin/env bash
# Peak memory of fetchers given many URLs on standard input. usage: memory.sh [URLS [SECONDS [PEER ...]]]
# Defaults: 1,000,000 URLs of one small body, 180 s a peer. Run compare.sh once before (it builds
# the peers and, unless RONDO names one, rondo) and start the origin. Prints: peer, peak RSS in MiB, wall seconds, CPU seconds, exit
# status (124: still running at the limit).
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
b=${BUILD:-${TMPDIR:-/tmp}/fetch-peers}
n=${1:-1000000} limit=${2:-180}
shift $(($# < 2 ? $# : 2))
[[ $# == 0 ]] && set -- rondo go-nethttp rust-reqwest aiohttp aiomultiprocess curl wget2 aria2c aria2c-deferred
out=$(mktemp -d /dev/shm/fetch-memory.XXXXXX)
trap 'rm -rf "$out"' EXIT
py="$b/venv/bin/python -B $here/peers/python"
urls() { awk -v n="$n" -v u="http://127.0.0.1:${HTTP_PORT:-18080}/pep-0002.rst?i=" "BEGIN { for (i = 0; i < n; i++) $1 }"; }
plain='print u i'
aria=(aria2c --no-conf --quiet --dir="$out" --max-concurrent-downloads=100 --split=1 --file-allocation=none
	--max-download-result=0 --allow-overwrite=true --auto-file-renaming=false --input-file=-)
for peer; do
	line=$plain
	case $peer in
	rondo) cmd=("${RONDO:-$b/rondo}" fetch -i - -c 100 -o /dev/null --summary json) ;;
	go-nethttp) cmd=("$b/nethttp" -c 100) ;;
	rust-reqwest) cmd=("$b/reqwest-fetch" - 100) ;;
	aiohttp) cmd=($py/aiohttp_plain.py - 100) ;;
	aiomultiprocess) cmd=($py/aiohttp_aiomultiprocess.py - 100) ;;
	curl) cmd=(curl --silent --parallel --parallel-immediate --parallel-max 100 -K -)
		line='print "url=\"" u i "\"\noutput=/dev/null"' ;;
	wget2) # 1.99.1 hangs before its first request when the list comes on standard input
		urls "$line" >"$out/list"
		cmd=(wget2 --no-config --quiet --max-threads=100 --input-file="$out/list" --output-document=/dev/null) ;;
	aria2c) cmd=("${aria[@]}") line='print u i "\n out=" i % 1000' ;;
	aria2c-deferred) cmd=("${aria[@]}" --deferred-input=true) line='print u i "\n out=" i % 1000' ;;
	*) echo "unknown peer $peer" >&2; continue ;;
	esac
	urls "$line" | /usr/bin/time -o "$out/.time" -f '%M %e %U %S' timeout "$limit" "${cmd[@]}" >"$out/.out" 2>&1
	status=${PIPESTATUS[1]}
	read -r kb wall user sys < <(tail -1 "$out/.time")
	awk -v p="$peer" -v kb="$kb" -v w="$wall" -v u="$user" -v s="$sys" -v st="$status" \
		'BEGIN { printf "%s\t%.0f\t%.1f\t%.1f\t%s\n", p, kb / 1024, w, u + s, st }'
	rm -rf "$out"; mkdir -p "$out"
done
