#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The store under kill -9 and on a disk that fails. Nothing acknowledged may be lost, nothing refused may appear, no
# batch may be half there, and the process never ends by itself.
#   CYCLES (20; RAVELIN_FULL: 200): kills at a random moment after 10,000 acknowledged changes each.
#   POINTS (20; RAVELIN_FULL: 100): places where the disk fails; 0: none.
# Needs neither root nor network. usage: store-kill.sh [BUILD]
# May run beside another.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-${RAVELIN_BUILD:-$top/build}}
# check --full runs the whole campaign
cycles=${CYCLES:-${RAVELIN_FULL:+200}}
cycles=${cycles:-20}
points=${POINTS:-${RAVELIN_FULL:+100}}
points=${points:-20}
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
total=0
for ((c = 1; c <= cycles; c++)); do
	: >"$dir/said" # else the first look finds what the one before said, or nothing
	"$load" write "$dir/store" $((c * 10000000)) 0 >"$dir/said" 2>"$dir/err" &
	pid=$!
	for ((i = 0; ; i++)); do
		[ "$(grep -c '^A' "$dir/said" || true)" -lt 10000 ] || break
		kill -0 $pid 2>/dev/null || fail "the writer ended: $(cat "$dir/err")"
		[ $i -lt 2400 ] || fail "fewer than 10,000 acknowledged changes in 120 s"
		sleep 0.05
	done
	sleep "0.$(printf '%03d' $((RANDOM % 200)))"
	kill -9 $pid
	wait $pid 2>/dev/null || true
	pid=
	acked=$(grep -c '^A' "$dir/said")
	total=$((total + acked))
	cat "$dir/said" >>"$ledger"
	"$load" check "$dir/store" "$ledger" >"$dir/verdict" || fail "kill $c: $(head -5 "$dir/verdict")"
	echo "kill $c: acknowledged=$acked $(grep '^checked' "$dir/verdict")"
	grep '^[TA] ' "$dir/verdict" >"$ledger" # what is there now: the next goes on from it
done

# Where the disk fails: operation, error, at which call, for how many calls.
list=()
for count in 1 4; do
	for at in 1 3 11 25 50; do
		for op in write sync all short open; do
			for err in ENOSPC EIO; do
				[ "$op" != short ] || [ $err = EIO ] || continue
				[ "$op" != open ] || [ $at -le 3 ] || continue
				list+=("$op $err $at $count")
			done
		done
	done
done
n=${#list[@]}
for ((i = 0; i < points; i++)); do
	# spread over the list whatever POINTS is; beyond it, later calls
	k=$((i < n ? (points < n ? i * n / points : i) : i % n))
	read -r op err at count <<<"${list[$k]}"
	at=$((at + i / n))
	# files are opened when a table is full: some 20,000 changes
	want=4000
	[ "$op" != open ] || want=60000
	rm -rf "$dir/store"
	: >"$ledger"
	LD_PRELOAD="$preload" FAULTFS_PATH=$dir/store FAULTFS_OP=$op FAULTFS_ERR=$err FAULTFS_AT=$at FAULTFS_FOR=$count \
		"$load" write "$dir/store" 1 $want >"$ledger" 2>"$dir/err" ||
		fail "fault $op $err at $at for $count: the writer ended with $?: $(tail -3 "$dir/err")"
	fired=$(sed -n 's/^FIRED //p' "$ledger")
	refused=$(grep -c '^R' "$ledger" || true)
	grep -q '^STATE ok' "$ledger" || fail "fault $op $err at $at for $count: it did not recover"
	[ "$fired" -gt 0 ] || fail "fault $op $err at $at for $count was not hit: it proves nothing"
	# a failing write or sync of the log must have refused something; a short write is made whole
	case $op in write | sync | all) [ "$refused" -gt 0 ] || fail "fault $op $err at $at: acknowledged all" ;; esac
	"$load" check "$dir/store" "$ledger" >"$dir/verdict" ||
		fail "fault $op $err at $at for $count: $(head -5 "$dir/verdict")"
	echo "fault $op $err at=$at for=$count: fired=$fired $(sed -n 's/^REOPENED /reopened=/p' "$ledger") $(grep '^checked' "$dir/verdict")"
done
echo "store-kill: $cycles kills under $total acknowledged changes, $points faults: nothing lost, nothing half, nothing refused appeared"
