#!/usr/bin/env bash
# Runs the Autobahn test suite against the server and the client: all cases, or those given, as in "1.*,9.1.*"; "quick" is a
# selection that takes less than a minute. The suite
# is for Python 2.7: PYTHON2 names it, or else it is looked for, also among pyenv's. It is installed, from PyPI, into DIR (default
# ~/.cache/rondo/autobahn), where the reports go too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cases=${1:-*}
[[ $cases != quick ]] || cases=
dir=${DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/rondo/autobahn}

# find prints the path of a Python 2.7.
find() {
	local p
	for p in "${PYTHON2:-}" python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7.*/bin/python2.7 pypy; do
		if [[ -n $p ]] && p=$(command -v "$p") && "$p" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))'; then
			echo "$p"
			return
		fi
	done
	echo "autobahn: no Python 2.7: set PYTHON2, or install it by pyenv" >&2
	return 1
}

if [[ ! -x $dir/bin/wstest ]]; then
	python=$(find)
	mkdir -p "$dir"
	"$python" -m pip install --quiet --target "$dir/tool" 'virtualenv<20'
	PYTHONPATH=$dir/tool "$python" -m virtualenv --quiet "$dir"
	"$dir/bin/pip" install --quiet autobahntestsuite
fi
rm -rf "$dir/reports"
WSTEST=$dir/bin/wstest AUTOBAHN_CASES=$cases AUTOBAHN_REPORTS=$dir/reports "${GO:-go}" test -v -count=1 -timeout=30m -run Autobahn .
echo "reports: $dir/reports/*/index.html"
