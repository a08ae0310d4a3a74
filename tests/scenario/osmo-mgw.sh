#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# MGCP against osmo-mgw (Debian), a gateway nobody here wrote: plain UDP on loopback addresses of this run, keys
# withheld. Drives tests/xval/mgcpcli; then tshark reads a capture of it. As root; exit 0 or 1.
# RAVELIN_BUILD: build directory (default: build/ of this repository).
# May run beside another.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${RAVELIN_BUILD:-$here/../../build}
cli=$build/tests/xval/mgcpcli
for tool in "$cli" osmo-mgw tshark; do
	command -v "$tool" >/dev/null || {
		echo "error: $tool is not there" >&2
		exit 1
	}
done
dir=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-mgw.XXXXXX")
mgw= shark=
cleanup() {
	for p in $shark $mgw; do
		kill "$p" 2>/dev/null || true
		wait "$p" 2>/dev/null || true
	done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# Loopback addresses of our own, so that runs do not meet.
net=127.$((64 + $$ / 250 % 128)).$(($$ % 250 + 1))
cat >"$dir/mgw.cfg" <<CFG
line vty
 bind $net.2
ctrl
 bind $net.2
mgcp
 domain mgw
 bind ip $net.2
 bind port 2427
 rtp bind-ip $net.2
 rtp port-range 4002 4998
 sdp audio-payload number 0
 sdp audio-payload name PCMU/8000
 number endpoints 16
CFG
osmo-mgw -c "$dir/mgw.cfg" >"$dir/mgw.log" 2>&1 &
mgw=$!
tshark -q -i lo -f "udp and net $net.0/24" -w "$dir/mgcp.pcap" >"$dir/tshark.log" 2>&1 &
shark=$!
for _ in $(seq 900); do
	ss -Hlun "src $net.2:2427" | grep -q . && grep -q -i 'capturing on' "$dir/tshark.log" && break
	kill -0 "$mgw" 2>/dev/null || {
		cat "$dir/mgw.log"
		echo "error: osmo-mgw did not start" >&2
		exit 1
	}
	sleep 0.1
done
sleep 1

rc=0
"$cli" "$net.1" "$net.2" | tee "$dir/out" || rc=1
sleep 2
kill -INT "$shark" && wait "$shark" 2>/dev/null || true
shark=

# What an independent dissector makes of it.
count() { tshark -r "$dir/mgcp.pcap" -Y "$1" 2>/dev/null | wc -l; }
passed=$(sed -n 's/^\([0-9]*\) passed.*/\1/p' "$dir/out") failed=$(sed -n 's/.* \([0-9]*\) failed$/\1/p' "$dir/out")
passed=${passed:-0} failed=${failed:-1}
claim() {
	if [ "$1" = 1 ]; then
		passed=$((passed + 1))
		echo "ok    $2"
	else
		failed=$((failed + 1))
		echo "FAIL  $2"
	fi
}
messages=$(count mgcp) malformed=$(count '_ws.malformed') keyed=$(tshark -r "$dir/mgcp.pcap" -Y mgcp -V 2>/dev/null | grep -c 'inline:' || true)
claim $((messages >= 40)) "tshark: $messages MGCP messages"
claim $((malformed == 0)) "tshark: $malformed malformed"
claim $((keyed == 1)) "tshark: $keyed message with a key, the one that was allowed"
[ "$failed" = 0 ] || tail -20 "$dir/mgw.log"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$rc" = 0 ]
