#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Every table of bench/README.md in one go, on a quiet machine: measure.sh [--quick] [--update] [--out DIR] [NAME...]
# runs the benches named (all, and rtpengine, if none), keeps their JSON lines as DIR/NAME.json and prints the tables as
# Markdown; --update puts them into README.md. About 40 minutes; --quick 5. rtpengine and tunnels need root.
# Where there are no huge pages and they can be had, 1 GiB of them is taken for as long as it runs: the first line of each
# NAME.json says how many there were ("hugepages"), rows of workers whether they lay in them. HUGE=0: as the machine is.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "${RAVELIN_BUILD:-$here/../build}" && pwd) || exit 1
bench=$build/bench/ravelin-bench
[ -x "$bench" ] || {
	echo "error: $bench is not there: build first" >&2
	exit 1
}
quick= update= out=$build/bench-rows names=()
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=--quick ;;
	--update) update=1 ;;
	--out)
		out=$2
		shift
		;;
	-*)
		echo "usage: $0 [--quick] [--update] [--out DIR] [NAME...]" >&2
		exit 2
		;;
	*) names+=("$1") ;;
	esac
	shift
done
[ ${#names[@]} -gt 0 ] || names=(srtp media overload latency scaling esp mgcp farm tunnels store dial register call moh enrol tvs sign drill tftp http boot rtpengine)
mkdir -p "$out"
rc=0 files=()
pages=/proc/sys/vm/nr_hugepages
if [ "${HUGE:-1}" != 0 ] && [ -w $pages ] && [ "$(cat $pages)" = 0 ]; then
	trap 'echo 0 >$pages' EXIT
	trap 'exit 1' INT TERM
	echo 512 >$pages 2>/dev/null || true
	echo "huge pages of 2 MiB: $(cat $pages)" >&2
fi
for name in "${names[@]}"; do
	echo "$(date +%T) $name, load $(cut -d' ' -f1-3 /proc/loadavg)" >&2
	if [ "$name" = rtpengine ]; then
		[ -z "$quick" ] || export RUNS=1 STEPS=6
		TRIALS=$out/rtpengine.trials timeout -k 10 1800 "$here/peer-rtpengine.sh" >"$out/$name.json"
	elif [ "$name" = tunnels ]; then
		RAVELIN_BUILD=$build RUNS=${quick:+1} timeout -k 10 1800 "$here/tunnels.sh" >"$out/$name.json"
	else
		timeout -k 10 3600 "$bench" "$name" -j $quick >"$out/$name.json"
	fi || {
		echo "error: $name failed; its rows are in $out/$name.json" >&2
		rc=1
		continue
	}
	files+=("$out/$name.json")
done
[ ${#files[@]} -gt 0 ] || exit 1
if [ -n "$update" ]; then
	python3 "$here/tables.py" "${files[@]}" --update "$here/README.md" || rc=1
else
	python3 "$here/tables.py" "${files[@]}" || rc=1
fi
exit $rc
