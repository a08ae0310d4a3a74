#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# bench/peer-rtpengine.sh with the least it can do: the same calls through rtpengine, through the dataplane on veth and through
# memif; in each a packet per call must come back right before anything is counted. Rates are not judged. As root.
# RAVELIN_BUILD: build directory.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-bench.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$here/lsan.supp:print_suppressions=0}
export RUNS=1 CALLS=40 MEMIF_CALLS=400 STEPS=2 SECONDS_EACH=0.3 RTPENGINE_MOST=2000 VETH_MOST=2000 MEMIF_MOST=4000
TRIALS=$dir/trials timeout -k 10 900 "$here/../../bench/peer-rtpengine.sh" >"$dir/rows" 2>"$dir/log" || {
	echo "FAIL  peer-rtpengine.sh"
	cat "$dir/log"
	exit 1
}
if [ "$(jq -s 'map(.case.path) == ["veth", "memif"] and all(.[]; .bench == "media" and .peer == "rtpengine" and .peer_value > 0 and
	.value > 0 and .ratio > 0 and .unit == "packet/s/core" and .runs == 1)' "$dir/rows")" != true ]; then
	echo "FAIL  rows"
	cat "$dir/rows" "$dir/log" "$dir/trials"
	exit 1
fi
echo "bench-rtpengine: ok"
