#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# ravelin-dataplane on every kind of port that this machine can make, packets in and out of each: af_packet with jumbo frames,
# af_xdp, tap, memif (testpmd is the client and carries the frames on to a veth), ring, null, pcap. As root; exit 0 or 1.
# May run beside another.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${RAVELIN_BUILD:-$here/../../build}
bin=$(realpath "$build")/dataplane/ravelin-dataplane
[ -x "$bin" ] || {
	echo "error: $bin is not there" >&2
	exit 1
}
id=rvpt$$
dir=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-ports.XXXXXX")
pid= pmd=
cleanup() {
	for p in $pid $pmd; do
		kill -KILL "$p" 2>/dev/null || true
		wait "$p" 2>/dev/null || true
	done
	for n in a d; do ip netns del "$id$n" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
fail() {
	echo "FAILED: $*" >&2
	[ ! -f "$dir/log" ] || tail -30 "$dir/log" >&2
	exit 1
}
py() { timeout 300 python3 "$here/dp_ports.py" "$@"; }
in_a() { ip netns exec "${id}a" "$@"; }
in_d() { ip netns exec "${id}d" "$@"; }

for n in a d; do
	ip netns add "$id$n"
	ip -n "$id$n" link set lo up
done
ip -n "${id}d" link add va type veth peer name eth0 netns "${id}a"
in_d sysctl -qw net.ipv6.conf.all.disable_ipv6=1
ip -n "${id}d" link set va up
ip -n "${id}a" link set eth0 up
ip -n "${id}a" addr add 10.77.1.2/24 dev eth0
in_a ethtool -K eth0 tx off >/dev/null

# configure MBUFS PORTS [MEDIA]: the file.
configure() {
	cat >"$dir/ravelin.yaml" <<CFG
paths: {state: $dir/state, run: $dir/run}
dataplane:
  huge_pages: never
  memory_mb: ${MB:-96}
  mbufs: $1
  max_legs: 64
  ring_desc: 512
  ports: [$2]
media:
  addresses: [${3:-}]
CFG
	"$bin" --check-config -c "$dir/ravelin.yaml" || fail "configuration of $2"
}
start() {
	configure "$@"
	ip netns exec "${id}d" "$bin" -c "$dir/ravelin.yaml" 2>"$dir/log" &
	pid=$!
	for _ in $(seq 900); do
		grep -q event=ready "$dir/log" && return 0
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	return 1
}
stop() {
	kill -TERM "$pid"
	rc=0
	wait "$pid" || rc=$?
	pid=
	[ $rc = 0 ] || fail "exit status $rc at the end of $1"
	grep -q mbufs_leaked=0 "$dir/log" || fail "packet buffers lost: $1"
	echo "ok    $1"
}
pings() { in_a ping -q -c 10 -i 0.02 -W 2 "$@" >/dev/null; }

# af_packet, first with an interface that cannot, then with one that can
start 4096 '{device: "af_packet:va", addresses: [10.77.1.1/24], mtu: 9000}' && fail "started on an interface with a smaller MTU"
wait "$pid" 2>/dev/null || true
pid=
grep -q 'event=port-mtu.*interface=1500.*ip link set dev va mtu 9000' "$dir/log" || fail "what mends the MTU is not said"
ip -n "${id}d" link set va mtu 9000
ip -n "${id}a" link set eth0 mtu 9000
start 4096 '{device: "af_packet:va", addresses: [10.77.1.1/24], mtu: 9000}' || fail "af_packet with jumbo frames"
pings 10.77.1.1 || fail "ping over af_packet"
pings -M do -s 8972 10.77.1.1 || fail "ping of 9000 bytes over af_packet"
stop "af_packet, 9000 bytes"
ip -n "${id}d" link set va mtu 1500
ip -n "${id}a" link set eth0 mtu 1500

if start 4096 '{device: "af_xdp:va", addresses: [10.77.1.1/24]}'; then
	pings 10.77.1.1 || fail "ping over af_xdp"
	pings -s 1400 10.77.1.1 || fail "ping of 1400 bytes over af_xdp"
	stop af_xdp
elif grep -q -i -E 'not supported|ENOSYS|EOPNOTSUPP|Operation not permitted' "$dir/log"; then
	pid=
	echo "skip  af_xdp: this kernel has no XDP sockets: $(grep -i -m1 -E 'not supported|permitted' "$dir/log")"
else
	fail "af_xdp"
fi

start 4096 '{device: "tap:t0", addresses: [10.77.3.1/24]}' || fail "tap"
ip -n "${id}d" addr add 10.77.3.2/24 dev t0
ip -n "${id}d" link set t0 up
in_d ping -q -c 10 -i 0.02 -W 2 10.77.3.1 >/dev/null || fail "ping over tap"
in_d ping -q -c 10 -i 0.02 -W 2 -s 1400 10.77.3.1 >/dev/null || fail "ping of 1400 bytes over tap"
stop tap

# memif: we are the server; the client comes, goes and comes again
start 4096 "{device: \"memif:id=0,socket=$dir/memif.sock\", addresses: [10.77.1.1/24]}" || fail memif
mkfifo "$dir/stdin"
exec 7<>"$dir/stdin" # it ends when it can read something
for round in 1 2; do
	# Frames go on as they are, both ways.
	ip netns exec "${id}d" timeout 300 dpdk-testpmd --no-huge -m 128 --no-pci --no-telemetry --no-shconf --file-prefix "$id" -l 0-1 --log-level='*:error' \
		--vdev="net_memif0,role=client,socket-abstract=no,socket=$dir/memif.sock,id=0" --vdev=net_af_packet0,iface=va \
		-- --total-num-mbufs=4096 --forward-mode=io --auto-start --tx-first >"$dir/testpmd.log" 2>&1 <&7 &
	pmd=$!
	for _ in $(seq 100); do
		in_a ping -q -c 1 -W 1 10.77.1.1 >/dev/null && break
		kill -0 "$pmd" 2>/dev/null || break
		sleep 0.1
	done
	pings 10.77.1.1 || {
		cat "$dir/testpmd.log" >&2
		fail "ping over memif, round $round"
	}
	pings -s 1400 10.77.1.1 || fail "ping of 1400 bytes over memif"
	kill -TERM "$pmd"
	wait "$pmd" 2>/dev/null || true
	pmd=
	kill -0 "$pid" 2>/dev/null || fail "the client left, and the dataplane with it"
	in_a ip neigh flush dev eth0
done
stop "memif, client twice"

start 4096 '{device: ring, addresses: [10.77.3.1/24]}' '{address: 10.77.3.1}' || fail ring
py ring "$dir/run/dataplane.sock" || fail ring
stop ring
start 4096 '{device: "null", addresses: [10.77.3.1/24]}' '{address: 10.77.3.1}' || fail null
py null "$dir/run/dataplane.sock" || fail null
stop null

mac=02:00:00:00:00:31
py pcap-make "$dir/in.pcap" $mac
start 4096 "{device: \"pcap:$dir/in.pcap,tx=$dir/out.pcap\", mac: \"$mac\", addresses: [10.77.3.1/24]}" '{address: 10.77.3.1}' || fail pcap
sleep 3
stop "pcap"
py pcap-check "$dir/out.pcap" $mac || fail "answers to a replayed capture"
py pcap-media "$dir/media.pcap" $mac
start 4096 "{device: \"pcap:$dir/media.pcap,infinite\", mac: \"$mac\", addresses: [10.77.3.1/24]}, {device: \"af_packet:va\", addresses: [10.77.1.1/24]}" \
	'{address: 10.77.3.1}, {address: 10.77.1.1}' || fail "pcap without end"
in_a timeout 300 python3 "$here/dp_ports.py" replay "$dir/run/dataplane.sock" "${id}a" || fail "a replayed call"
stop "pcap without end into af_packet"
echo "ports passed"
