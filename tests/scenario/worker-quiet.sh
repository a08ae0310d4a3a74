#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The worker's loop calls nobody: not the system (strace on the worker threads: a capture replayed without end to plain,
# encrypting and refusing legs, and music to others; two workers without traffic, and with shards moving between them), and by its call graph no
# allocator, lock, log or stdio either (worker_loop.py). As root; exit 0 or 1. RAVELIN_BUILD: build directory.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${RAVELIN_BUILD:-$here/../../build}
bin=$(realpath "$build")/dataplane/ravelin-dataplane
[ -x "$bin" ] || {
	echo "error: $bin is not there" >&2
	exit 1
}
dir=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-quiet.XXXXXX")
mac=02:00:00:00:09:01
pid= tracers=
cleanup() {
	for p in $tracers $pid; do
		kill -KILL "$p" 2>/dev/null || true
		wait "$p" 2>/dev/null || true
	done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
fail() {
	echo "FAILED: $*" >&2
	[ ! -f "$dir/log" ] || tail -20 "$dir/log" >&2
	exit 1
}
py() { timeout 200 python3 "$here/worker_quiet.py" "$@"; }
counts() { py counts "$dir/run/dataplane.sock" >"$dir/$1.json" || fail "counters"; }
grew() { # NAME FILTER: the second counts' less the first's
	local n
	n=$(jq -n --slurpfile a "$dir/$1-a.json" --slurpfile b "$dir/$1-b.json" "(\$b[0] | $2) - (\$a[0] | $2)")
	echo "$n"
}

# start WORKERS PORTS
start() {
	cat >"$dir/ravelin.yaml" <<CFG
paths: {state: $dir/state, run: $dir/run}
dataplane:
  main_lcore: 0
  worker_lcores: [$1]
  huge_pages: never
  memory_mb: 128
  mbufs: 16384
  max_legs: 64
  ports: [$2]
media:
  addresses: [{address: 10.77.3.1}]
moh: {directory: $dir}
CFG
	"$bin" --check-config -c "$dir/ravelin.yaml" || fail "configuration of $2"
	: >"$dir/log"
	"$bin" -c "$dir/ravelin.yaml" 2>"$dir/log" &
	pid=$!
	for _ in $(seq 900); do
		grep -q event=ready "$dir/log" && return
		kill -0 "$pid" 2>/dev/null || fail "did not start"
		sleep 0.1
	done
	fail "not ready after 90 s"
}
stop() {
	kill -TERM "$pid"
	wait "$pid" || fail "did not stop cleanly"
	pid=
}
workers() { grep -l -E '^(lcore|rte)-worker' /proc/"$pid"/task/*/comm | cut -d/ -f5; }
switches() { awk '/^voluntary_ctxt/ {print $2}' "/proc/$pid/task/$1/status"; }
faults() { sed 's/.*) //' "/proc/$pid/task/$1/stat" | awk '{print $8 + $10}'; } # minor and major

traced() { grep -q '^TracerPid:[^0-9]*[1-9]' "/proc/$pid/task/$1/status"; }
# watch NAME WORKERS COMMAND...: strace on every worker, and on the main thread to see that it would tell.
watch() {
	local name=$1 want=$2 tid n f
	shift 2
	[ "$(workers | wc -l)" = "$want" ] || fail "$(workers | wc -l) worker threads"
	tracers=
	for tid in $(workers) "$pid"; do
		strace -q -o "$dir/trace.$tid" -p "$tid" 2>"$dir/trace.err" &
		tracers+=" $!"
	done
	for tid in $(workers) "$pid"; do
		for _ in $(seq 600); do
			traced "$tid" && break
			sleep 0.1
		done
	done
	sleep 1
	for tid in $(workers); do
		traced "$tid" || fail "strace: $(cat "$dir/trace.err")"
		echo "$(switches "$tid") $(faults "$tid")" >"$dir/waited.$tid"
	done
	counts "$name-a"
	"$@" >"$dir/said"
	counts "$name-b"
	for tid in $(workers); do
		# A first touch of a page waits for the lock on the address space while another thread maps memory: that is no call
		# of ours, and it happens once for a page. Whoever waited without any fault waited for something else.
		read -r n f <"$dir/waited.$tid"
		n=$(($(switches "$tid") - n)) f=$(($(faults "$tid") - f))
		[ "$n" = 0 ] || [ "$f" -gt 0 ] || fail "$name: worker thread $tid waited for something $n times"
	done
	kill -INT $tracers
	wait $tracers || true
	tracers=
	for tid in $(workers); do
		n=$(grep -c '(' "$dir/trace.$tid" || true)
		[ "$n" = 0 ] || fail "$name: $n system calls of worker thread $tid: $(head -3 "$dir/trace.$tid")"
	done
	n=$(grep -c '(' "$dir/trace.$pid" || true)
	[ "$n" -gt 10 ] || fail "the main thread's $n system calls: does strace see any?"
	echo "ok    $name: 0 system calls of $want workers (the main thread's: $n)"
}

timeout 200 python3 "$here/worker_loop.py" "$bin" >"$dir/loop" || fail "$(cat "$dir/loop")"
echo "ok    the loop reaches $(tail -1 "$dir/loop")"

py make "$dir/in.pcap" $mac
/usr/bin/python3 -W ignore "$here/music_heard.py" make "$dir/hold.wav"
start 1 "{device: \"pcap:$dir/in.pcap,infinite\", mac: \"$mac\", addresses: [10.77.3.1/24]}"
py legs "$dir/run/dataplane.sock"
sleep 1
watch traffic 1 sleep 4
for what in .plain .secure .drop.auth; do
	n=$(grew traffic $what)
	[ "$n" -gt 1000 ] || fail "$what: only $n packets meanwhile"
	echo "ok    $what: $n packets meanwhile"
done
n=$(grew traffic .music)
[ "$n" -gt 50 ] || fail "music: only $n packets to the leg that had the fewest"
echo "ok    music: $n packets or more to each leg meanwhile"
stop

start "1, 2" "{device: \"ring:1\", addresses: [10.77.3.1/24]}, {device: \"null:1\", addresses: [10.77.4.1/24]}"
py legs "$dir/run/dataplane.sock"
sleep 1
watch idle 2 sleep 3
for w in 0 1; do
	[ "$(grew idle ".polls[$w]")" -gt 1000 ] || fail "worker $w stood still"
done
watch moves 2 py moves "$dir/run/dataplane.sock" 64
[ "$(cat "$dir/said")" = 64 ] || fail "moves: $(cat "$dir/said") of 64"
echo "ok    64 shards moved meanwhile"
stop
echo "all ok"
