#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The simulators against small peers in Python: ravelin-phonesim with an SCCP server over TLS, ravelin-gwsim with a
# call agent behind scapy's ESP. Needs root for the second (a network namespace of its own). Exit 0 or 1.
# RAVELIN_BUILD: build directory (default: build/ of this repository).
# May run beside another.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${RAVELIN_BUILD:-$here/../../build}
sim=$build/bench/sim
[ -x "$sim/ravelin-gwsim" ] || {
	echo "error: $sim/ravelin-gwsim is not there: build first, or set RAVELIN_BUILD" >&2
	exit 1
}
sim=$(cd "$sim" && pwd)
work=$(mktemp -d)
ns=rvsim$$
rc=0
cleanup() {
	ip netns del $ns-a 2>/dev/null || true
	ip netns del $ns-p 2>/dev/null || true
	ip netns del $ns-g 2>/dev/null || true
	[ $rc = 0 ] && rm -rf "$work" || echo "files are in $work"
}
trap cleanup EXIT
trap 'rc=1; exit 1' INT TERM

# Debian's scapy and cryptography belong to Debian's python. A namespace keeps ports out of others' way.
ip netns add $ns-a
ip netns add $ns-p
ip netns add $ns-g
ip -n $ns-a link set lo up
ip -n $ns-p link set lo up
ip -n $ns-g link set lo up
# The two halves share nothing and mostly wait: they run beside each other.
phones() {
	local args rc=0
	for args in "17 2" "17 1" "8 1" "20 2" "17 0"; do
		echo "== phones: protocol and suite $args"
		# shellcheck disable=SC2086
		ip netns exec $ns-p /usr/bin/python3 "$here/sim_sccp_server.py" "$sim" "$work/phones" $args || rc=1
	done
	return $rc
}
mkdir "$work/phones" "$work/gateways"
phones >"$work/phones.out" 2>&1 &
phones=$!

ip link add $ns-v netns $ns-a type veth peer name $ns-w netns $ns-g
ip -n $ns-a addr add 192.0.2.1/24 dev $ns-v
ip -n $ns-g addr add 192.0.2.7/24 dev $ns-w
ip -n $ns-a link set $ns-v up
ip -n $ns-g link set $ns-w up
for args in "gcm transport 50" "cbc transport 50" "gcm transport 4500" "cbc tunnel 50" "gcm tunnel 4500"; do
	echo "== gateway: ESP $args"
	# shellcheck disable=SC2086
	ip netns exec $ns-a /usr/bin/python3 "$here/sim_mgcp_agent.py" "$sim" "$work/gateways" $ns-g $args || rc=1
done
wait $phones || rc=1
cat "$work/phones.out"
[ $rc = 0 ] && echo "sim-selftest: ok" || echo "sim-selftest: FAILED"
exit $rc
