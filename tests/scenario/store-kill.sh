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
workers=4 # of the failing disks: they mostly wait for the store's next try
dir=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-store.XXXXXX")
pid=
others=
cleanup() {
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
	for w in $others; do
		kill "$w" 2>/dev/null || true
		pkill -9 -P "$w" 2>/dev/null || true
	done
	rm -rf "$dir"
}
trap cleanup EXIT
fail() {
	echo "store-kill: $*" >&2
	exit 1
}

# In a build with ASan its runtime must come first.
asan=$(ldd "$load" 2>/dev/null | awk '/libasan/ {print $3}')
preload="${asan:+$asan }$faults"
[ -x "$load" ] || fail "no $load: build the tests first"

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

point() { # NUMBER: in a directory of its own, $at_dir
	local i=$1 k op err at count want fired refused store=$at_dir/store said=$at_dir/said
	# spread over the list whatever POINTS is; beyond it, later calls
	k=$((i < n ? (points < n ? i * n / points : i) : i % n))
	read -r op err at count <<<"${list[$k]}"
	at=$((at + i / n))
	# files are opened when a table is full: some 20,000 changes
	want=4000
	[ "$op" != open ] || want=60000
	rm -rf "$store"
	LD_PRELOAD="$preload" FAULTFS_PATH=$store FAULTFS_OP=$op FAULTFS_ERR=$err FAULTFS_AT=$at FAULTFS_FOR=$count \
		"$load" write "$store" 1 $want >"$said" 2>"$at_dir/err" ||
		fail "fault $op $err at $at for $count: the writer ended with $?: $(tail -3 "$at_dir/err")"
	fired=$(sed -n 's/^FIRED //p' "$said")
	refused=$(grep -c '^R' "$said" || true)
	grep -q '^STATE ok' "$said" || fail "fault $op $err at $at for $count: it did not recover"
	[ "$fired" -gt 0 ] || fail "fault $op $err at $at for $count was not hit: it proves nothing"
	# a failing write or sync of the log must have refused something; a short write is made whole
	case $op in write | sync | all) [ "$refused" -gt 0 ] || fail "fault $op $err at $at: acknowledged all" ;; esac
	"$load" check "$store" "$said" >"$at_dir/verdict" ||
		fail "fault $op $err at $at for $count: $(head -5 "$at_dir/verdict")"
	echo "fault $op $err at=$at for=$count: fired=$fired $(sed -n 's/^REOPENED /reopened=/p' "$said") $(grep '^checked' "$at_dir/verdict")"
}
for ((w = 0; w < workers; w++)); do
	(
		at_dir=$dir/$w
		mkdir "$at_dir"
		for ((i = w; i < points; i += workers)); do point $i; done
	) >"$dir/points.$w" &
	others="$others $!"
done

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
		[ $i -lt 12000 ] || fail "fewer than 10,000 acknowledged changes in 600 s"
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

for w in $others; do
	wait "$w" || exit 1 # it said why
done
others=
cat "$dir"/points.*
hit=$(cat "$dir"/points.* | grep -c '^fault' || true)
[ "$hit" = "$points" ] || fail "$hit of $points faults were tried"
echo "store-kill: $cycles kills under $total acknowledged changes, $points faults: nothing lost, nothing half, nothing refused appeared"
