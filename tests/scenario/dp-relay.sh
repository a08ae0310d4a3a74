#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# ravelin-dataplane on two veth pairs: ARP, ND, echo, the channel, relay both ways, a controlplane that dies and one that
# takes over, ageing, bad messages, clean stop. dp_relay.py is the controlplane and the parties. As root; exit 0 or 1.
# RAVELIN_BUILD: build directory (default: build/ of this repository).
# May run beside another.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${RAVELIN_BUILD:-$here/../../build}
bin=$(realpath "$build")/dataplane/ravelin-dataplane
[ -x "$bin" ] || {
	echo "error: $bin is not there" >&2
	exit 1
}
id=rvdp$$
dir=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-dp.XXXXXX")
pid=
cleanup() {
	if [ -n "$pid" ]; then
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	fi
	for n in a b d; do
		ip netns del "$id$n" 2>/dev/null || true
	done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
fail() {
	echo "FAILED: $*" >&2
	[ ! -f "$dir/log" ] || cat "$dir/log" >&2
	exit 1
}

for n in a b d; do
	ip netns add "$id$n"
	ip -n "$id$n" link set lo up
done
for n in a b; do
	ip -n "${id}d" link add "v$n" type veth peer name eth0 netns "$id$n"
	# The appliance's kernel has no part in this.
	ip netns exec "${id}d" sysctl -qw "net.ipv6.conf.v$n.disable_ipv6=1"
	ip -n "${id}d" link set "v$n" up
	ip -n "$id$n" link set eth0 up
done
ip -n "${id}a" addr add 10.77.1.2/24 dev eth0
ip -n "${id}a" addr add fd77::2/64 dev eth0 nodad
ip -n "${id}b" addr add 10.77.2.2/24 dev eth0

cat >"$dir/ravelin.yaml" <<CFG
paths: {state: $dir/state, run: $dir/run}
dataplane:
  huge_pages: never
  memory_mb: 96
  mbufs: 8192
  max_legs: 64
  ports:
    - {device: "af_packet:va", addresses: [10.77.1.1/24, "fd77::1/64"]}
    - {device: "af_packet:vb", addresses: [10.77.2.1/24]}
media:
  addresses: [{address: 10.77.1.1}, {address: 10.77.2.1}, {address: "fd77::1"}]
CFG
"$bin" --check-config -c "$dir/ravelin.yaml" || fail "configuration"
ip netns exec "${id}d" "$bin" -c "$dir/ravelin.yaml" 2>"$dir/log" &
pid=$!
for _ in $(seq 900); do
	grep -q event=ready "$dir/log" && break
	kill -0 "$pid" 2>/dev/null || fail "did not start"
	sleep 0.1
done
grep -q event=ready "$dir/log" || fail "not ready after 90 s"
[ "$(stat -c %a "$dir/run/dataplane.sock")" = 600 ] || fail "mode of the socket"
# Memory with keys is locked (a sanitizer's runtime does not do that).
grep -q libasan "/proc/$pid/maps" || [ "$(awk '/^VmLck/ {print $2}' "/proc/$pid/status")" -gt 1000 ] ||
	fail "memory is not locked"

ip netns exec "${id}a" ping -q -c 20 -i 0.02 -W 2 10.77.1.1 >/dev/null || fail "ping IPv4"
ip netns exec "${id}a" ping -q -c 20 -i 0.02 -W 2 fd77::1 >/dev/null || fail "ping IPv6"
ip netns exec "${id}a" ping -q -c 5 -s 1400 -i 0.02 -W 2 10.77.1.1 >/dev/null || fail "ping with 1400 bytes"
# Addresses of the other port, and those that nobody has, are silent.
! ip netns exec "${id}a" ping -q -c 1 -W 1 10.77.1.99 >/dev/null 2>&1 || fail "answered for 10.77.1.99"

python3 "$here/dp_relay.py" "$dir/run/dataplane.sock" "${id}a" "${id}b" || fail "relay"

# SIGTERM while packets come in: everything comes back.
ip netns exec "${id}a" ping -q -f -c 20000 10.77.1.1 >/dev/null 2>&1 &
flood=$!
sleep 0.2
kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?
pid=
kill "$flood" 2>/dev/null || true
wait "$flood" 2>/dev/null || true
[ $rc = 0 ] || fail "exit status $rc after SIGTERM"
grep -q 'event=stopped mbufs_leaked=0' "$dir/log" || fail "packet buffers leaked"
[ ! -e "$dir/run/dataplane.sock" ] || fail "the socket stayed"

# 100,000 legs in 256 MiB, and two workers on a machine that may have fewer CPUs: starts, answers, stops clean.
{
	cat <<CFG
paths: {state: $dir/state, run: $dir/run}
dataplane:
  huge_pages: never
  memory_mb: 256
  max_legs: 100000
  worker_lcores: [1, 2]
  ports:
CFG
	for n in 1 2; do
		printf '    - {device: "af_packet:v%s", addresses: [' "$([ $n = 1 ] && echo a || echo b)"
		for k in 1 101 102 103 104 105 106; do printf '10.77.%d.%d/24, ' $n $k; done
		printf '10.77.%d.107/24]}\n' $n
	done
	printf 'media:\n  addresses:\n'
	for n in 1 2; do
		for k in 1 101 102 103 104 105 106; do printf '    - {address: 10.77.%d.%d}\n' $n $k; done
	done
} >"$dir/big.yaml"
ip netns exec "${id}d" "$bin" -c "$dir/big.yaml" 2>"$dir/log" &
pid=$!
for _ in $(seq 900); do
	grep -q event=ready "$dir/log" && break
	kill -0 "$pid" 2>/dev/null || fail "did not start with 100,000 legs"
	sleep 0.1
done
grep -q 'event=ready workers=2 .*max_legs=100000 leg_bytes=1196' "$dir/log" || fail "100,000 legs"
ip netns exec "${id}a" ping -q -c 20 -i 0.02 -W 2 10.77.1.104 >/dev/null || fail "ping with two workers"
python3 "$here/dp_relay.py" --legs "$dir/run/dataplane.sock" 100000 || fail "100,000 legs set"
kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?
pid=
[ $rc = 0 ] || fail "exit status $rc after SIGTERM, two workers"
echo "dp-relay: ok"
