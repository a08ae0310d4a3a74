#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Two entries of one af_packet device, untagged and VLAN 100: a party that builds its frames byte by byte (this kernel needs no
# VLAN device) asks both, is answered in the right one, and has a call from its VLAN to a network without. As root; exit 0 or 1.
# May run beside another.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${RAVELIN_BUILD:-$here/../../build}
bin=$(realpath "$build")/dataplane/ravelin-dataplane
[ -x "$bin" ] || {
	echo "error: $bin is not there" >&2
	exit 1
}
id=rvvl$$
dir=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-vlan.XXXXXX")
pid= mirror=
cleanup() {
	for p in $pid $mirror; do
		kill -KILL "$p" 2>/dev/null || true
		wait "$p" 2>/dev/null || true
	done
	for n in a b d; do ip netns del "$id$n" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
fail() {
	echo "FAILED: $*" >&2
	[ ! -f "$dir/log" ] || tail -30 "$dir/log" >&2
	exit 1
}
for n in a b d; do
	ip netns add "$id$n"
	ip -n "$id$n" link set lo up
	ip netns exec "$id$n" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
done
for n in a b; do
	ip -n "${id}d" link add "v$n" type veth peer name eth0 netns "$id$n"
	ip -n "${id}d" link set "v$n" up
	ip -n "$id$n" link set eth0 up
done
ip -n "${id}b" addr add 10.77.2.2/24 dev eth0
mac=$(ip netns exec "${id}d" cat /sys/class/net/va/address)
cat >"$dir/ravelin.yaml" <<CFG
paths: {state: $dir/state, run: $dir/run}
dataplane:
  huge_pages: never
  memory_mb: 96
  mbufs: 4096
  max_legs: 64
  ring_desc: 512
  ports:
    - {device: "af_packet:va", addresses: [10.77.1.1/24]}
    - {device: "af_packet:vb", addresses: [10.77.2.1/24]}
    - {device: "af_packet:va", vlan: 100, addresses: [10.77.100.1/24]}
media:
  addresses: [{address: 10.77.100.1}, {address: 10.77.2.1}]
CFG
ip netns exec "${id}d" "$bin" -c "$dir/ravelin.yaml" 2>"$dir/log" &
pid=$!
for _ in $(seq 900); do
	grep -q event=ready "$dir/log" && break
	kill -0 "$pid" 2>/dev/null || fail "did not start"
	sleep 0.1
done
grep -q "event=port-up device=af_packet:va vlan=100 mac=$mac" "$dir/log" || fail "no port with VLAN 100"
ip netns exec "${id}b" timeout 300 python3 "$here/dp_ports.py" mirror 10.77.2.2 300 2>"$dir/mirror.log" &
mirror=$!
ip netns exec "${id}a" timeout 300 python3 "$here/dp_ports.py" vlan "$dir/run/dataplane.sock" "$mac" 10.77.2.2 || fail "the party in VLAN 100"
kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?
pid=
[ $rc = 0 ] || fail "exit status $rc at the end"
grep -q mbufs_leaked=0 "$dir/log" || fail "packet buffers lost"
echo "vlan passed"
