#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The store under kill -9 and on a disk that fails. Nothing acknowledged may be lost, nothing refused may appear, no
# batch may be half there, and the process never ends by itself.
#   CYCLES (3): kills, each after 10,000 acknowledged changes. POINTS (12): places where the disk fails; 0: none.
# Needs neither root nor network. usage: store-kill.sh [BUILD]
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-${RAVELIN_BUILD:-$top/build}}
# check --full runs the whole campaign
cycles=${CYCLES:-${RAVELIN_FULL:+200}}
cycles=${cycles:-3}
points=${POINTS:-${RAVELIN_FULL:+100}}
points=${points:-12}
load=$build/tests/scenario/storeload
faults=$build/tests/scenario/libfaultfs.so
dir=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-store.XXXXXX")
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT
fail() {
	echo "store-kill: $*" >&2
	exit 1
}

# In a build with ASan its runtime must come first.
asan=$(ldd "$load" 2>/dev/null | awk '/libasan/ {print $3}')
preload="${asan:+$asan }$faults"
[ -x "$load" ] || fail "no $load: build the tests first"

ledger=$dir/ledger
: >"$ledger"
for ((c = 1; c <= cycles; c++)); do
	before=$(grep -c '^A' "$ledger" || true)
	"$load" write "$dir/store" $((c * 10000000)) 0 >>"$ledger" 2>"$dir/err" &
	pid=$!
	for ((i = 0; ; i++)); do
		[ $(($(grep -c '^A' "$ledger" || true) - before)) -lt 10000 ] || break
		kill -0 $pid 2>/dev/null || fail "the writer ended: $(cat "$dir/err")"
		[ $i -lt 1200 ] || fail "fewer than 10,000 acknowledged changes in 120 s"
		sleep 0.1
	done
	kill -9 $pid
	wait $pid 2>/dev/null || true
	pid=
	acked=$(($(grep -c '^A' "$ledger") - before))
	result=$("$load" check "$dir/store" "$ledger") || fail "cycle $c: $result"
	echo "kill $c: acknowledged=$acked $result"
done

# Where the disk fails: operation, error, at which call, for how many calls.
fired_any=0
list=()
for count in 1 30; do
	for at in 1 3 11 25 50; do
		for op in write sync all short; do
			for err in ENOSPC EIO; do
				[ "$op" != short ] || [ $err = EIO ] || continue
				list+=("$op $err $at $count")
			done
		done
	done
done
total=${#list[@]}
for ((i = 0; i < points; i++)); do
	# spread over the list whatever POINTS is; beyond it, later calls
	k=$((i < total ? i * (points < total ? total / points : 1) % total : i % total))
	read -r op err at count <<<"${list[$k]}"
	at=$((at + i / total))
	rm -rf "$dir/store"
	: >"$ledger"
	LD_PRELOAD="$preload" FAULTFS_PATH=$dir/store FAULTFS_OP=$op FAULTFS_ERR=$err FAULTFS_AT=$at FAULTFS_FOR=$count \
		"$load" write "$dir/store" 1 2000 >"$ledger" 2>"$dir/err" ||
		fail "fault $op $err at $at for $count: the writer ended with $?: $(tail -3 "$dir/err")"
	fired=$(sed -n 's/^FIRED //p' "$ledger")
	refused=$(grep -c '^R' "$ledger" || true)
	grep -q '^STATE ok' "$ledger" || fail "fault $op $err at $at for $count: it did not recover"
	if [ "$fired" -gt 0 ]; then
		fired_any=$((fired_any + 1))
		# a failing write or sync of the log must have refused something; a short write is made whole
		case $op in write | sync | all) [ "$refused" -gt 0 ] || fail "fault $op $err at $at: acknowledged all" ;; esac
	fi
	result=$("$load" check "$dir/store" "$ledger") || fail "fault $op $err at $at for $count: $result"
	echo "fault $op $err at=$at for=$count: fired=$fired $(sed -n 's/^REOPENED /reopened=/p' "$ledger") $result"
done
[ "$points" -eq 0 ] || [ $fired_any -gt 0 ] || fail "no fault was hit: the test proves nothing"
echo "store-kill: $cycles kills, $fired_any of $points faults hit: nothing lost, nothing half, nothing refused appeared"
