#!/usr/bin/env bash
# Builds the peers once and compares them on loopback: server on core 0, load on core 1.
#
#   compare.sh echo|http|tls|idle [-s SIZE,...] [-c CONNECTIONS,...] [-p PIPELINE,...] [-d SECONDS] [-r ROUNDS]
#              [--cores SERVER,LOAD|none] [--loops N] [--json FILE] [PEER ...]
#
# echo: every byte compared; sizes 64, 1024, 65536, connections 1, 64, 1000
# http: 'Hello, World!' by wrk, 64 connections, pipeline 1 and 16
# tls:  echo over TLS 1.3, AES-128-GCM, ECDSA P-256
# idle: memory of connections that were answered once and rest; plain, TLS and HTTP peers
#
# Needs: cc with OpenSSL and liburing headers, go, cargo, python3 with venv, nginx, wrk, openssl, taskset. Debian:
#   apt-get install gcc libssl-dev liburing-dev nginx wrk openssl util-linux
# BUILD (default: net-peers under TMPDIR) holds what is built. RONDO_NET=PROGRAM is the peer "rondo", in place of
# ./rondo of this checkout.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export BUILD=${BUILD:-${TMPDIR:-/tmp}/net-peers}
mkdir -p "$BUILD"
cc -O2 -o "$BUILD/load" "$here/load.c" -lssl -lcrypto
cc -O2 -o "$BUILD/floor-epoll" "$here/peers/c/epoll.c" -lssl -lcrypto
cc -O2 -o "$BUILD/floor-uring" "$here/peers/c/uring.c" -luring || echo "no io_uring floor" >&2
(cd "$here/peers/go" && go build -o "$BUILD/" ./gonet ./gnet ./netpoll ./nbio ./fasthttp ./rawepoll)
if [[ -z ${RONDO_NET:-} ]]; then
	(cd "$here/.." && go build -o "$BUILD/rondo-net" ./net/rondo)
	export RONDO_NET=$BUILD/rondo-net
fi
if [[ ! -e $BUILD/venv ]]; then
	"${PYTHON:-python3}" -m venv "$BUILD/venv"
	"$BUILD/venv/bin/pip" install -q -r "$here/peers/python/requirements.txt"
fi
if [[ ! -e $BUILD/tokio-net ]]; then
	rm -rf "$BUILD/rust" && cp -r "$here/peers/rust" "$BUILD/rust" && (cd "$BUILD/rust" && cargo build -q --release) &&
		cp "$BUILD/rust/target/release/tokio-net" "$BUILD/" || echo "no Rust peer" >&2
fi
if [[ ! -e $BUILD/cert.pem ]]; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \
		-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
		-keyout "$BUILD/key.pem" -out "$BUILD/cert.pem" 2>/dev/null
fi
PYTHONDONTWRITEBYTECODE=1 python3 "$here/compare.py" --build "$BUILD" "$@"
