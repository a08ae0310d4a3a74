#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The punt path: a kernel (a namespace that holds nothing but the punt interface) reached through a port that the dataplane
# owns. ARP, ND, ping, TLS and plain TCP both ways, IKE to the dataplane's own address; then a flood, beside media that must lose
# nothing and TLS that must go on. As root; exit 0 or 1.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${RAVELIN_BUILD:-$here/../../build}
bin=$(realpath "$build")/dataplane/ravelin-dataplane
[ -x "$bin" ] || {
	echo "error: $bin is not there" >&2
	exit 1
}
id=rvpu$$
dir=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-punt.XXXXXX")
pid= others=
cleanup() {
	for p in $pid $others; do
		kill -KILL "$p" 2>/dev/null || true
		wait "$p" 2>/dev/null || true
	done
	for n in a b d k; do ip netns del "$id$n" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
fail() {
	echo "FAILED: $*" >&2
	[ ! -f "$dir/log" ] || tail -30 "$dir/log" >&2
	exit 1
}
ok() { echo "ok    $*"; }
in_a() { ip netns exec "${id}a" "$@"; }
in_k() { ip netns exec "${id}k" "$@"; }
until_ready() { # FILE PATTERN
	for _ in $(seq 900); do
		grep -q "$2" "$1" 2>/dev/null && return 0
		sleep 0.1
	done
	return 1
}

for n in a b d k; do
	ip netns add "$id$n"
	ip -n "$id$n" link set lo up
done
for n in a b; do
	ip -n "${id}d" link add "v$n" type veth peer name eth0 netns "$id$n"
	ip netns exec "${id}d" sysctl -qw "net.ipv6.conf.v$n.disable_ipv6=1"
	ip -n "${id}d" link set "v$n" up
	ip -n "$id$n" link set eth0 up
	# What arrives without a checksum is what the kernel behind the punt path would get.
	ip netns exec "$id$n" ethtool -K eth0 tx off >/dev/null
done
ip -n "${id}a" addr add 10.77.1.2/24 dev eth0
ip -n "${id}a" addr add fd77::2/64 dev eth0 nodad
ip -n "${id}b" addr add 10.77.2.2/24 dev eth0
mac=$(ip netns exec "${id}d" cat /sys/class/net/va/address)
cat >"$dir/ravelin.yaml" <<CFG
paths: {state: $dir/state, run: $dir/run}
dataplane:
  huge_pages: never
  memory_mb: 128
  mbufs: 8192
  max_legs: 64
  ring_desc: 8192
  punt_pps: 2000
  ports:
    - {device: "af_packet:va", addresses: [10.77.1.1/24, "fd77::1/64"], punt: punt0}
    - {device: "af_packet:vb", addresses: [10.77.2.1/24]}
media:
  addresses: [{address: 10.77.1.1}, {address: 10.77.2.1}]
CFG
ip netns exec "${id}d" "$bin" -c "$dir/ravelin.yaml" 2>"$dir/log" &
pid=$!
for _ in $(seq 900); do
	grep -q event=ready "$dir/log" && break
	kill -0 "$pid" 2>/dev/null || fail "did not start"
	sleep 0.1
done
[ "$(ip netns exec "${id}d" cat /sys/class/net/punt0/address)" = "$mac" ] || fail "the punt interface has another MAC"
# The kernel's side: in a namespace of its own, so that there is no way but this one. The dataplane's address is there too, for IKE.
ip -n "${id}d" link set punt0 netns "${id}k"
ip -n "${id}k" link set punt0 up
ip -n "${id}k" addr add 10.77.1.5/24 dev punt0
ip -n "${id}k" addr add 10.77.1.1/32 dev punt0 noprefixroute
ip -n "${id}k" addr add fd77::5/64 dev punt0 nodad
ip -n "${id}k" addr add fd77::1/128 dev punt0 nodad noprefixroute

in_a ping -q -c 20 -i 0.02 -W 2 10.77.1.5 >/dev/null || fail "ping to the kernel"
in_a ping -q -c 20 -i 0.02 -W 2 fd77::5 >/dev/null || fail "ping to the kernel, IPv6"
in_a ping -q -c 5 -i 0.02 -W 2 -s 1472 10.77.1.5 >/dev/null || fail "ping of 1500 bytes"
in_k ping -q -c 20 -i 0.02 -W 2 10.77.1.2 >/dev/null || fail "ping from the kernel"
in_k ping -q -c 5 -i 0.02 -W 2 -I 10.77.1.1 10.77.1.2 >/dev/null 2>&1 && fail "an echo reply to the dataplane's address reached the kernel"
in_a ping -q -c 20 -i 0.02 -W 2 10.77.1.1 >/dev/null || fail "ping to the dataplane"
in_a ping -q -c 5 -i 0.02 -W 2 fd77::1 >/dev/null || fail "ping to the dataplane, IPv6"
# One neighbour each: the dataplane answers for its address, the kernel for its own, both with the port's MAC.
[ "$(in_a ip neigh show 10.77.1.1 | grep -c "$mac")" = 1 ] && [ "$(in_a ip neigh show 10.77.1.5 | grep -c "$mac")" = 1 ] ||
	fail "neighbours"
ok "ARP, ND, ping both ways"

in_k timeout 300 python3 "$here/dp_ports.py" udp-echo 10.77.1.1 500 4500 >"$dir/ike.log" 2>&1 &
others+=" $!"
in_k timeout 300 python3 "$here/dp_ports.py" udp-echo fd77::1 500 4500 >"$dir/ike6.log" 2>&1 &
others+=" $!"
until_ready "$dir/ike.log" ready && until_ready "$dir/ike6.log" ready || fail "IKE responder"
in_a timeout 300 python3 "$here/dp_ports.py" ike 10.77.1.1 || fail "IKE to the dataplane's address"
in_a timeout 300 python3 "$here/dp_ports.py" ike fd77::1 || fail "IKE to the dataplane's address, IPv6"
ok "IKE on 500 and 4500 to the dataplane's address"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=punt -keyout "$dir/key" -out "$dir/cert" 2>/dev/null
head -c 1000000 /dev/urandom >"$dir/file"
server() { # NETNS PORT
	(cd "$dir" && exec ip netns exec "$id$1" openssl s_server -quiet -WWW -accept "$2" -cert cert -key key >"server$1.log" 2>&1) &
	others+=" $!"
}
fetch() { # NETNS HOST PORT: the file over TLS
	printf 'GET /file HTTP/1.0\r\n\r\n' | ip netns exec "$id$1" timeout 300 openssl s_client -quiet -connect "$2:$3" -CAfile "$dir/cert" \
		-verify_return_error -ign_eof 2>/dev/null | sed '1,/^\r$/d' | cmp -s - "$dir/file"
}
server k 4433
server a 4433
listens() { # NETNS PORT
	for _ in $(seq 600); do
		ip netns exec "$id$1" ss -Hltn "sport = :$2" | grep -q . && return
		sleep 0.1
	done
	fail "nobody listens on port $2"
}
listens k 4433
listens a 4433
fetch a 10.77.1.5 4433 || fail "TLS to the kernel"
fetch a '[fd77::5]' 4433 || fail "TLS to the kernel, IPv6"
fetch k 10.77.1.2 4433 || fail "TLS from the kernel"
in_k sh -c 'printf "SSH-2.0-banner\n" | timeout 90 nc -l -N 10.77.1.5 22' >"$dir/ssh" &
others+=" $!"
listens k 22
[ "$(printf 'SSH-2.0-client\n' | in_a timeout 90 nc -N 10.77.1.5 22)" = SSH-2.0-banner ] || fail "TCP on port 22"
[ "$(cat "$dir/ssh")" = SSH-2.0-client ] || fail "TCP on port 22, what the client said"
ok "TLS and TCP both ways"

# Ten thousand frames a second of no use, five times what is let through: media is whole, TLS goes on.
begun=$SECONDS
in_a timeout 300 python3 "$here/dp_ports.py" media "$dir/run/dataplane.sock" "${id}b" 800 >"$dir/media" 2>"$dir/media.log" &
media=$!
sleep 1.5
in_a timeout 300 python3 "$here/dp_ports.py" flood "$mac" 10000 6 02:00:00:00:00:66 >"$dir/flood" 2>"$dir/flood.log" &
flood=$!
sleep 0.5
head -c 20000 "$dir/file" >"$dir/small"
mv "$dir/small" "$dir/file"
fetch a 10.77.1.5 4433 && tls=1 || tls=0
wait $flood || rc=$?
flooded=$((SECONDS - begun))
[ "${rc:-0}" = 0 ] || fail "flood: $(cat "$dir/flood.log")"
wait $media || fail "media: $(cat "$dir/media.log")"
took=$((SECONDS - begun))
read -r _ lost _ punted _ full <"$dir/media"
sent=$(cat "$dir/flood")
echo "      flood of $sent: $(cat "$dir/media")"
[ "$lost" = 0 ] || fail "$lost packets of media lost"
[ $((punted + full)) -ge "$sent" ] || fail "not every frame of the flood is counted"
# 2,000 a second as long as media and flood took, and the bucket; the rest is refused, if this machine can send more than that
[ "$punted" -le $((2000 * (took + 1) + 4000)) ] || fail "$punted to the kernel in $took s, over the rate"
[ "$full" -ge $(((sent - 2000 * (flooded + 1) - 4000) / 2)) ] && [ "$full" -gt 0 ] || fail "only $full refused"
ok "a flood beside media"
[ $tls = 1 ] || fetch a 10.77.1.5 4433 || fail "TLS after the flood"
ok "TLS during the flood: $tls, and after it"

kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?
pid=
[ $rc = 0 ] || fail "exit status $rc at the end"
grep -q mbufs_leaked=0 "$dir/log" || fail "packet buffers lost"
ip -n "${id}k" link show punt0 >/dev/null 2>&1 && fail "the punt interface is left behind"
echo "punt passed"
