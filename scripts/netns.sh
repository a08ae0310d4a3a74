# SPDX-License-Identifier: BSD-3-Clause
# Three hosts on one machine, for quickstart and the scenarios: sourced after lib.sh.
#
#   phone 10.77.1.10 ──veth── app0 [10.77.1.1 kernel: signalling; 10.77.1.2 dataplane: media]
#                             app1 [10.77.2.2 dataplane: media, MGCP, ESP] ──veth── 10.77.2.10 gateway
#
# The kernel of the appliance's namespace owns no address that the dataplane serves; on app1 it owns none at all.

NS=${NS:-rv$$}
NS_PHONE=$NS-phone
NS_APP=$NS-app
NS_GW=$NS-gw

in_phone() { ip netns exec "$NS_PHONE" "$@"; }
in_app() { ip netns exec "$NS_APP" "$@"; }
in_gw() { ip netns exec "$NS_GW" "$@"; }

ns_up() {
	local ns
	for ns in "$NS_PHONE" "$NS_APP" "$NS_GW"; do
		ip netns add "$ns"
		ip -n "$ns" link set lo up
		ip netns exec "$ns" sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.default.accept_dad=0 \
			net.ipv6.conf.all.accept_dad=0 2>/dev/null || true
	done
	ip link add phone0 netns "$NS_PHONE" type veth peer name app0 netns "$NS_APP"
	ip link add gw0 netns "$NS_GW" type veth peer name app1 netns "$NS_APP"
	# Checksums in full on every frame: captures are read by strangers.
	ip netns exec "$NS_PHONE" ethtool -K phone0 tx off rx off >/dev/null
	ip netns exec "$NS_APP" ethtool -K app0 tx off rx off >/dev/null
	ip netns exec "$NS_APP" ethtool -K app1 tx off rx off >/dev/null
	ip netns exec "$NS_GW" ethtool -K gw0 tx off rx off >/dev/null
	ip -n "$NS_PHONE" addr add 10.77.1.10/24 dev phone0
	ip -n "$NS_PHONE" addr add 2001:db8:1::10/64 dev phone0 nodad
	ip -n "$NS_APP" addr add 10.77.1.1/24 dev app0
	ip -n "$NS_GW" addr add 10.77.2.10/24 dev gw0
	ip -n "$NS_GW" addr add 2001:db8:2::10/64 dev gw0 nodad
	# app1 has no kernel address: what arrives there is the dataplane's alone
	ip netns exec "$NS_APP" sysctl -qw net.ipv6.conf.app1.disable_ipv6=1 2>/dev/null || true
	ip -n "$NS_PHONE" link set phone0 up
	ip -n "$NS_APP" link set app0 up
	ip -n "$NS_APP" link set app1 up
	ip -n "$NS_GW" link set gw0 up
}

ns_down() {
	local ns pids
	for ns in "$NS_PHONE" "$NS_APP" "$NS_GW"; do
		ip netns list 2>/dev/null | grep -qw "$ns" || continue
		pids=$(ip netns pids "$ns" 2>/dev/null)
		[ -z "$pids" ] || kill $pids 2>/dev/null
	done
	sleep 0.3
	for ns in "$NS_PHONE" "$NS_APP" "$NS_GW"; do
		ip netns list 2>/dev/null | grep -qw "$ns" || continue
		pids=$(ip netns pids "$ns" 2>/dev/null)
		[ -z "$pids" ] || kill -9 $pids 2>/dev/null
		ip netns del "$ns" 2>/dev/null
	done
	return 0
}

# wait_for SECONDS COMMAND...: until it succeeds; SECONDS is what a machine needs that does nothing else, and it has five times that and a
# minute at least (a first start makes ten RSA keys): the bound is for what never comes, not for what is slow. (So "not within 2 s" cannot be asked here.)
wait_for() {
	local end=$(($(date +%s) + ($1 < 12 ? 60 : 5 * $1)))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$end" ] || return 1
		sleep 0.1
	done
}
