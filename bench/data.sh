#!/usr/bin/env bash
# Makes the corpus of the fetch workload from a checkout of github.com/python/peps.
#
#   git clone https://github.com/python/peps
#   git -C peps checkout ba4deeb7969588d937da609008d05bb83a47b1ab
#   bench/data.sh peps DIR
#
# DIR then holds peps/, the 702 texts that corpus.txt beside this script lists, and MANIFEST.tsv:
# path, bytes, words (runs of bytes other than space, \t \n \v \f \r) and SHA-256 of each. It
# fails unless that manifest is the one that every published figure was measured with.
# Needs: python3, sha256sum.
set -euo pipefail
want=2ec0847daa7b9a6430b3db4198b50a8fbded4a14875745113a2957c15af23b70
[[ $# == 2 ]] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$2/peps"
while read -r name; do cp "$1/peps/$name" "$2/peps/$name"; done <"$here/corpus.txt"
python3 - "$2" "$here/corpus.txt" >"$2/MANIFEST.tsv" <<-'PY'
	import hashlib, pathlib, sys
	print("path", "bytes", "words", "sha256", sep="\t")
	for name in pathlib.Path(sys.argv[2]).read_text().split():
	    body = pathlib.Path(sys.argv[1], "peps", name).read_bytes()
	    print(f"peps/{name}", len(body), len(body.split()), hashlib.sha256(body).hexdigest(), sep="\t")
PY
got=$(sha256sum <"$2/MANIFEST.tsv")
[[ ${got%% *} == "$want" ]] || { echo "data.sh: $1: not the texts of that commit (manifest ${got%% *})" >&2; exit 1; }
echo "DATA=$(cd "$2" && pwd)"
