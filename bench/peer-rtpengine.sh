#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The 'media' rows beside rtpengine: the same RTP to SRTP calls through Debian's rtpengine-daemon in user space and through
# ravelin-dataplane, in turn, on the same two veth pairs, and through memif. Prints ravelin-bench's JSON lines; what it does
# goes to stderr. As root; makes its namespaces and ends what it started. See README.md, "Beside rtpengine".
#
# RAVELIN_BUILD: build directory. RUNS: rounds (3). CALLS: on veth (500). MEMIF_CALLS: (5000). SECONDS_EACH: of a trial (1.5).
# STEPS: of the search (9). RTPENGINE_MOST, VETH_MOST, MEMIF_MOST: where the searches begin to halve. WORKER_CPU, LOAD_CPU: (the last two CPUs).
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../scripts/lib.sh"
need_root
build=$(cd "${RAVELIN_BUILD:-$here/../build}" && pwd) || die "no build directory"
dp=$build/dataplane/ravelin-dataplane
load=$build/bench/mediaload/ravelin-mediaload
for need in "$dp" "$load"; do [ -x "$need" ] || die "$need is not there: build first"; done
for need in rtpengine jq python3 ip ethtool; do command -v $need >/dev/null || die "$need is not installed: scripts/install.sh test"; done
cpus=$(nproc)
[ "$cpus" -ge 2 ] || die "two CPUs are needed: one for the relay, one for the load"
RUNS=${RUNS:-3} CALLS=${CALLS:-500} MEMIF_CALLS=${MEMIF_CALLS:-5000} SECONDS_EACH=${SECONDS_EACH:-1.5} STEPS=${STEPS:-9}
RTPENGINE_MOST=${RTPENGINE_MOST:-320000} VETH_MOST=${VETH_MOST:-800000} MEMIF_MOST=${MEMIF_MOST:-16000000}
WORKER_CPU=${WORKER_CPU:-$((cpus - 1))} LOAD_CPU=${LOAD_CPU:-$((cpus - 2))}

id=rvpr$$
A=${id}a L=${id}l # the relay's namespace, the load's
dir=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-peer.XXXXXX")
pid=
stop() { # the relay that runs
	[ -n "$pid" ] || return 0
	kill -TERM "$pid" 2>/dev/null
	for _ in $(seq 50); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	pid=
}
cleanup() {
	stop
	for n in $A $L; do ip netns del $n 2>/dev/null; done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
note() { printf '%s\n' "$*" >&2; }
fail() {
	note "FAILED: $*"
	[ ! -f "$dir/log" ] || tail -5 "$dir/log" >&2
	exit 1
}

for n in $A $L; do
	ip netns add $n && ip -n $n link set lo up || fail "namespace"
	ip netns exec $n sysctl -qw net.ipv4.ip_forward=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
		net.ipv6.conf.default.disable_ipv6=1 net.core.rmem_max=16777216 2>/dev/null
done
for k in 0 1; do
	ip link add l$k netns $L type veth peer name a$k netns $A || fail "veth"
	ip netns exec $L ethtool -K l$k tx off rx off >/dev/null 2>&1
	ip netns exec $A ethtool -K a$k tx off rx off >/dev/null 2>&1
	ip -n $L addr add 10.78.$((k + 1)).8/24 dev l$k
	ip -n $L link set l$k up
	ip -n $A link set a$k up
done
mac=$(ip netns exec $A cat /sys/class/net/a0/address)

# kernel_addresses add|del: rtpengine's addresses are the kernel's, the dataplane's are not.
kernel_addresses() {
	ip -n $A addr $1 10.78.1.1/24 dev a0
	ip -n $A addr $1 10.78.2.1/24 dev a1
	[ "$1" = del ] && return 0
	ip -n $A route replace 10.80.0.0/16 via 10.78.1.8
	ip -n $A route replace 10.79.0.0/16 via 10.78.2.8
	for k in 0 1; do
		ip -n $A neigh replace 10.78.$((k + 1)).8 lladdr "$(ip netns exec $L cat /sys/class/net/l$k/address)" dev a$k
	done
}
start_rtpengine() {
	ip netns exec $A taskset -c $WORKER_CPU rtpengine --foreground --log-stderr --log-level=1 --table=-1 \
		--interface=in/10.78.1.1 --interface=out/10.78.2.1 --listen-ng=127.0.0.1:22222 --port-min=30000 --port-max=59999 \
		--num-threads=1 --pidfile="$dir/pid" >"$dir/log" 2>&1 &
	pid=$!
	for _ in $(seq 50); do
		ip netns exec $A ss -Hlun 'sport = :22222' 2>/dev/null | grep -q . && break
		kill -0 $pid 2>/dev/null || fail "rtpengine did not start"
		sleep 0.1
	done
	ip netns exec $A python3 "$here/rtpengine_calls.py" 127.0.0.1:22222 $CALLS 10.80.0.9 10.79.0.9 20000 >"$dir/calls" ||
		fail "rtpengine took no calls"
}
# start_dataplane CALLS PORTS...: ports as lines of YAML
start_dataplane() {
	local calls=$1
	shift
	cat >"$dir/ravelin.yaml" <<CFG
paths: {state: $dir/state, run: $dir/run}
log: {level: notice}
dataplane:
  main_lcore: $LOAD_CPU
  worker_lcores: [$WORKER_CPU]
  huge_pages: never
  memory_mb: 256
  mbufs: 32768
  max_legs: $((2 * calls))
  ring_desc: 2048
  ports:
$(printf '    - %s\n' "$@")
media:
  addresses: [{address: 10.78.1.1}, {address: 10.78.2.1}]
CFG
	ip netns exec $A "$dp" -c "$dir/ravelin.yaml" >"$dir/log" 2>&1 &
	pid=$!
	for _ in $(seq 100); do
		grep -q event=ready "$dir/log" && break
		kill -0 $pid 2>/dev/null || fail "the dataplane did not start"
		sleep 0.1
	done
	"$load" legs --socket "$dir/run/dataplane.sock" --calls "$dir/calls" -n $calls || fail "no legs"
}
# An overloaded rtpengine leaves sockets unread for good (its epoll is edge-triggered, and it stops after so many packets):
# each trial has a fresh one. Two tries at each rate, like ravelin-mediaload's own search.
rtpengine_search() {
	local lo=0 hi=$RTPENGINE_MOST mid try out ok
	for _ in $(seq $STEPS); do
		mid=$(((lo + hi) / 2)) ok=
		for try in 1 2; do
			start_rtpengine
			out=$(ip netns exec $L "$load" veth --iface l0 --sink l1 --mac $mac --calls "$dir/calls" --cpu $LOAD_CPU \
				--seconds $SECONDS_EACH --rate $mid 2>>"$dir/trials")
			stop
			echo "  rtpengine offered $mid: $out" >>"$dir/trials"
			if [ "$(jq --argjson r $mid '.sent > 0.98 * $r and .received >= 0.999 * .sent' <<<"${out:-null}")" = true ]; then
				ok=1
				break
			fi
		done
		if [ -n "$ok" ]; then lo=$mid; else hi=$mid; fi
	done
	jq -cn --argjson r $lo --argjson a $hi --argjson c $CALLS '{rate: $r, above: $a, calls: $c}'
}
# search ARGS...: the highest loss-free rate, as JSON
search() { "$@" --calls "$dir/calls" --cpu $LOAD_CPU --seconds $SECONDS_EACH --steps $STEPS 2>>"$dir/trials"; }
veth_search() { search ip netns exec $L "$load" veth --iface l0 --sink l1 --mac $mac --most $VETH_MOST; }
memif_args="role=server,socket=$dir/memif,socket-abstract=no,rsize=11"
memif_search() { # most, options
	local most=$1
	shift
	search "$load" memif --vdev "net_memif0,role=client,socket=$dir/memif,socket-abstract=no,rsize=11" --gateway 10.78.1.8 \
		--most $most "$@"
}

: >"$dir/results"
for run in $(seq $RUNS); do
	note "round $run: rtpengine on veth"
	kernel_addresses add
	peer=$(rtpengine_search) || fail "rtpengine: $(tail -3 "$dir/trials")"
	kernel_addresses del
	[ "$(jq .rate <<<"$peer")" -gt 0 ] || fail "rtpengine passed nothing: $(tail -3 "$dir/trials")"
	note "round $run: ravelin-dataplane on veth"
	start_dataplane $CALLS '{device: "af_packet:a0", addresses: [10.78.1.1/24], gateway: 10.78.1.8}' \
		'{device: "af_packet:a1", addresses: [10.78.2.1/24], gateway: 10.78.2.8}'
	ours=$(veth_search) || fail "af_packet: $(tail -3 "$dir/trials")"
	stop
	note "round $run: ravelin-dataplane through memif"
	start_dataplane $MEMIF_CALLS "{device: \"memif:$memif_args\", addresses: [10.78.1.1/24, 10.78.2.1/24], gateway: 10.78.1.8}"
	memif=$(memif_search $MEMIF_MOST) || fail "memif: $(tail -3 "$dir/trials")"
	stop
	mac_rate=null
	if command -v dpdk-testpmd >/dev/null; then # what the path itself carries, in the same minute
		note "round $run: testpmd mac through memif"
		dpdk-testpmd --lcores "0@$LOAD_CPU,1@$WORKER_CPU" --no-pci --no-huge --no-shconf --no-telemetry -m 256 \
			--vdev "net_memif0,$memif_args" -- --forward-mode=mac --port-topology=loop --no-mlockall --total-num-mbufs=32768 \
			--auto-start --stats-period=3600 </dev/null >"$dir/testpmd.log" 2>&1 &
		pid=$!
		sleep 2
		mac_rate=$(memif_search 1 --echo --rate 0 | jq .received) || mac_rate=null
		stop
	fi
	jq -cn --argjson peer "$peer" --argjson ours "$ours" --argjson memif "$memif" --argjson mac "$mac_rate" \
		'{peer: $peer, ours: $ours, memif: $memif, mac: $mac}' | tee -a "$dir/results" >&2
done
cp "$dir/trials" "${TRIALS:-/dev/null}" 2>/dev/null

# Rows: the median of rounds, ratios round by round.
hz=$("$build/bench/ravelin-bench" srtp -j --only suite=none | jq -r '.env.tsc_hz // empty' | head -1)
jq -cs --argjson calls $CALLS --argjson mcalls $MEMIF_CALLS --argjson hz "${hz:-0}" '
	def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
	def spread: sort | if .[0] == 0 then 0 else (.[-1] - .[0]) / median end;
	def row($path; $legs; $ours; $peer): {bench: "media",
		case: {from: "RTP", to: "AES_CM_128_HMAC_SHA1_80", payload: 160, legs: $legs, path: $path},
		value: ($ours | median), unit: "packet/s/core", cycles: (($ours | median) as $m | if $m > 0 then $hz / $m else null end), peer: "rtpengine",
		peer_value: ($peer | median), ratio: ([$ours, $peer] | transpose | map(if .[1] > 0 then .[0] / .[1] else 0 end) | median),
		peer_runs: ($peer | length), runs: ($ours | length), spread: ($ours | spread), peer_spread: ($peer | spread)};
	map(.peer.rate) as $peer |
	(row("veth"; 2 * $calls; map(.ours.rate); $peer) + {peer_path: "kernel sockets on the same veth",
		sender_limited: any(.[]; .ours.sender_limited)}),
	(row("memif"; 2 * $mcalls; map(.memif.rate); $peer) + {peer_path: "kernel sockets on veth: another I/O path",
		sender_limited: any(.[]; .memif.sender_limited), testpmd_mac: (map(.mac // empty) | if length > 0 then median else null end)})
' "$dir/results"
