#!/usr/bin/env bash
# A loopback origin that serves the corpus with nginx.
#
#   origin.sh start                start nginx: HTTP/1.1 on $HTTP_PORT, TLS + HTTP/2 on $HTTPS_PORT
#   origin.sh stop                 stop it and remove its directory
#   origin.sh urls N [http|https] [FILE]
#                                  print N URLs: the corpus in order, repeated, each with its own ?i=;
#                                  with FILE, such as pep-0002.rst (2,128 bytes), that one alone
#   origin.sh expect N [FILE]      print what a fetcher of these N URLs must report, as JSON
#   origin.sh cpu                  print the CPU seconds the nginx worker has used so far
#   origin.sh cert                 print the path of the self-made certificate
#
# Needs: nginx, openssl, python3 (expect only). Environment: DATA (the corpus, as made by
# ../data.sh), HTTP_PORT (18080), HTTPS_PORT (18443), ORIGIN_CORE (core for the worker, default
# 1, "" for none), ORIGIN_DIR (default: a directory of its own under TMPDIR).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
HTTP_PORT=${HTTP_PORT:-18080} HTTPS_PORT=${HTTPS_PORT:-18443} ORIGIN_CORE=${ORIGIN_CORE-1}
dir=${ORIGIN_DIR:-${TMPDIR:-/tmp}/fetch-origin-$HTTP_PORT}

# corpus sets data, or says how to have one.
corpus() {
	if [[ ! -f ${DATA:-}/MANIFEST.tsv ]]; then
		echo "origin.sh: no corpus: set DATA to a directory made by $(cd "$here/.." && pwd)/data.sh (see README.md there)" >&2
		exit 2
	fi
	data=$(cd "$DATA" && pwd)
}

start() {
	corpus
	[[ -e $dir/nginx.pid ]] && { echo "already started: $dir" >&2; exit 1; }
	mkdir -p "$dir"
	local user=""
	[[ $(id -u) == 0 ]] && user="user root;"
	sed -e "s|@USER@|$user|" -e "s|@PREFIX@|$dir|g" -e "s|@DATA@|$data/peps|" \
		-e "s|@HTTP@|$HTTP_PORT|" -e "s|@HTTPS@|$HTTPS_PORT|" "$here/nginx.conf.in" >"$dir/nginx.conf"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
		-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
		-keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
	local pin=()
	if [[ -n $ORIGIN_CORE ]] && taskset -c "$ORIGIN_CORE" true 2>/dev/null; then pin=(taskset -c "$ORIGIN_CORE"); fi
	"${pin[@]}" nginx -p "$dir" -c "$dir/nginx.conf"
	for _ in $(seq 50); do
		if (exec 3<>"/dev/tcp/127.0.0.1/$HTTP_PORT") 2>/dev/null; then return 0; fi
		sleep 0.1
	done
	echo "nginx did not answer on $HTTP_PORT" >&2; exit 1
}

stop() {
	[[ -e $dir/nginx.pid ]] || { echo "not running: $dir" >&2; exit 1; }
	local pid; pid=$(cat "$dir/nginx.pid")
	nginx -p "$dir" -c "$dir/nginx.conf" -s stop
	while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	rm -rf "$dir"
}

urls() {
	corpus
	local base="http://127.0.0.1:$HTTP_PORT"
	[[ ${2:-http} == https ]] && base="https://127.0.0.1:$HTTPS_PORT"
	awk -F'\t' -v n="$1" -v base="$base" -v only="/${3:-}" 'NR == 1 { next }
		{ sub(/^peps/, "", $1); if (only == "/" || only == $1) p[m++] = $1 }
		END { for (i = 0; i < n; i++) print base p[i % m] "?i=" i }' "$data/MANIFEST.tsv"
}

expect() {
	corpus
	python3 - "$1" "$data/MANIFEST.tsv" "${2:-}" <<-'PY'
	import json, sys
	n = int(sys.argv[1])
	rows = [l.split("\t") for l in open(sys.argv[2]).read().splitlines()[1:]]
	rows = [r for r in rows if sys.argv[3] in ("", r[0].removeprefix("peps/"))]
	b = w = c = 0
	for k, (_, size, words, sha) in enumerate(rows):
	    times = n // len(rows) + (k < n % len(rows))
	    b += times * int(size); w += times * int(words); c += times * int(sha[:16], 16)
	print(json.dumps({"urls": n, "ok": n, "bytes": b, "words": w, "check": f"{c % 2**64:016x}"}))
	PY
}

cpu() {
	local worker; worker=$(pgrep -P "$(cat "$dir/nginx.pid")" | head -1)
	awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$worker/stat"
}

case ${1:-} in
start) start ;; stop) stop ;; urls) urls "$2" "${3:-http}" "${4:-}" ;; expect) expect "$2" "${3:-}" ;;
cpu) cpu ;; cert) echo "$dir/cert.pem" ;;
*) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
