#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# SAs from IKE by the socket that stands in for the kernel: Debian's charon with libravelin-xfrm.so preloaded, against an unmodified charon with
# kernel-libipsec at the gateway. CHILD_SAs come up, MGCP goes both ways inside ESP in UDP, keys are renewed from both ends and by
# lifetimes without a lost packet; the controlplane killed under charon takes its SAs over; what cannot be done is refused by name.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# May run beside another.
# Rows: 001:P1-013; 004a:GW-01.
set -u
SC_NAME=xfrm
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
. "$RAVELIN_TOP/scripts/ike.sh"

ME=10.77.2.2
GW=$(sc_gw_ip 1)
IKE=aes128-sha256-x25519
ns_up || die "network namespaces could not be made"
ip -n "$NS_GW" addr add "$GW/24" dev gw0
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d; s|^      addresses: \[10.77.2.2/24.*|&\n      punt: ikep|' "$WORK/ravelin.yaml"
printf 'ike: {enable: true, source: socket, vici: %s/none}\n' "$WORK" >>"$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"
# The kernel's side of the dataplane's address: for IKE.
punt_up() {
	wait_for 10 ip -n "$NS_APP" link set ikep up && ip -n "$NS_APP" addr replace $ME/32 dev ikep noprefixroute &&
		ip -n "$NS_APP" route replace 10.77.2.0/24 dev ikep src $ME
}
punt_up || die "punt interface"
wait_for 10 test -S "$WORK/run/xfrm.sock" || die "no xfrm.sock"
sc_capture "$NS_GW" gw0 "$WORK/gw0.pcap" || die tcpdump
CAP=$SC_CAP

sas() { # FILTER over live SAs of IKE's
	ctl_holds 'show sas' "[.[] | select(.source == \"ike\")] | $1"
}
both_live='([.[] | select(.state == "live") | .direction] | sort) == ["in", "out"] and all(.[]; .gateway == "gw1.example")'
alive() { # TEXT RATE SECONDS: keep-alives, all answered, until the seconds are over or $WORK/enough is there
	in_gw timeout 200 python3 "$RAVELIN_TOP/tests/scenario/ike_keepalive.py" "$GW" $ME:2727 gw1.example "$2" "$3" "$WORK/enough" >"$WORK/alive.json"
	check_json "$1: $(jq -c . "$WORK/alive.json")" "$WORK/alive.json" '.sent > 0 and .lost == 0 and .refused == 0'
}
in_spi() { ctl -j show sas | jq -r '[.[] | select(.source == "ike" and .direction == "in" and .state == "live")] | sort_by(.age_s) | .[0].spi'; }

step "up"
ctl gateway add gw1.example --address "$GW" --region gateways --endpoint aaln/1 --number '90*' >/dev/null || die gateway
soon_ctl "without an SA the gateway is down for want of one" 5 "show gateways" '.[0].state == "no-sa"'
ike_charon a "$NS_APP" kernel LD_PRELOAD="$BUILD/controlplane/ike/libravelin-xfrm.so" RAVELIN_XFRM="$WORK/run/xfrm.sock" || die "charon a"
ike_charon b "$NS_GW" libipsec || die "charon b"
ike_conn a 2 $ME "$GW" $IKE aes128gcm16-x25519 || die "connection a"
ike_conn b 2 "$GW" $ME $IKE aes128gcm16-x25519 || die "connection b"
check "IKEv2: charon has a CHILD_SA" swan a --initiate --child c
check "both directions are in the dataplane, as the gateway's" wait_for 5 sas "$both_live"
ctl -j show sas >"$WORK/sas.json"
ctl -j show gateways >"$WORK/gws.json"
check_json "with charon's reqid, algorithm, UDP encapsulation" "$WORK/sas.json" \
	'all(.[]; .reqid == 1 and .algorithm == "aes-gcm-128" and .mode == "tunnel" and (.local | endswith(":4500")))'
check "our SPI has the gateway's shard" python3 - "$(in_spi)" "$(jq -r '.[0].id // 0' "$WORK/gws.json")" <<-PY
	import sys
	sys.exit(int(sys.argv[1], 16) % 64 != int(sys.argv[2]) % 64)
PY
alive "packets both ways" 50 2
soon_ctl "charon sees the dataplane's counters" 1 "show sas" 'any(.[]; .direction == "in" and .packets >= 100)'
check "in GETSA" eval "swan a --list-sas | grep -E 'in .*[1-9][0-9]* packets'"

step "renewed"
was=$(in_spi)
(alive "0 lost over 6 renewals, from both ends" 200 120) &
bg=$!
for end in a b a b a b; do
	sleep 1
	spi=$(ike_settled a b)
	swan $end --rekey --child c >/dev/null || bad "rekey by $end"
	# One at a time: of two at once charon 5.9.8 does not always make the same of both ends (ike-rekey.sh).
	wait_for 30 ike_renewed a b "$spi" || bad "rekey by $end: not done"
done
touch "$WORK/enough"
wait $bg
rm "$WORK/enough"
check "the SPI is another" test "$(in_spi)" != "$was"
check "the old ones are gone" wait_for 30 sas 'length == 2'
check_ctl "nothing was refused of what came" "show sas" 'all(.[]; .auth_failed == 0 and .replayed == 0)'

step "the controlplane dies under charon"
was=$(in_spi)
cpu() { awk '{print $14 + $15}' "/proc/$(cat "$WORK/a.pid")/stat"; }
(alive "packets go on meanwhile" 100 8) &
bg=$!
sleep 1
kill -9 "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)" 2>/dev/null
t=$(cpu)
sleep 2
check "charon does not spin without it" test $(($(cpu) - t)) -lt 50
daemon controlplane
wait_for 30 dataplane_up || bad "the controlplane came back"
check "charon's SAs are there again, with their SPIs" wait_for 10 sas "$both_live and all(.[]; .taken_over)"
check "the same" test "$(in_spi)" = "$was"
wait $bg
check "and can be renewed" swan a --rekey --child c
check "" wait_for 30 sas "$both_live and length == 2"
alive "packets both ways afterwards" 50 2

step "both die under charon"
was=$(in_spi)
kill -9 "$(daemon_pid controlplane)" "$(daemon_pid dataplane)"
wait "$(daemon_pid controlplane)" "$(daemon_pid dataplane)" 2>/dev/null
daemon controlplane
daemon dataplane
wait_for 30 dataplane_up || bad "both came back"
punt_up || bad "punt interface"
check "what the dataplane does not have any more is negotiated anew" wait_for 30 sas "$both_live"
check "" test "$(in_spi)" != "$was"
alive "packets both ways" 50 2

step "lifetimes"
was=$(in_spi)
swan a --terminate --ike gw >/dev/null
ike_conn a 2 $ME "$GW" $IKE aes128gcm16-x25519 "life_packets = 300" "rekey_packets = 150" "rand_packets = 0" || die "connection a"
swan a --initiate --child c >/dev/null
check "a CHILD_SA with a lifetime in packets" wait_for 5 sas "any(.[]; .hard_packets == 300) and length == 2"
was=$(in_spi)
alive "0 lost while it ends and is renewed" 100 5
check "charon renewed it when the dataplane said that it ends" test "$(in_spi)" != "$was"

step "down"
swan a --terminate --ike gw >/dev/null 2>&1
check "DELSA: nothing is left" wait_for 5 sas 'length == 0'
soon_ctl "and the gateway is down for want of one" 5 "show gateways" '.[0].state == "no-sa"'

step "what cannot be done"
ike_conn a 2 $ME "$GW" $IKE chacha20poly1305-x25519 && ike_conn b 2 "$GW" $ME $IKE chacha20poly1305-x25519 || die "connections"
check "a CHILD_SA of an algorithm that is not done fails" eval "! swan a --initiate --child c"
check "by its name in the log" grep -q 'xfrm-refused.*rfc7539esp' "$WORK/controlplane.log"
check_ctl "and counted" "show counters" '.ike_source.refused >= 2 and .ike_source.messages > 50 and .ike_source.lost == 0'
check "nothing of it is left" sas 'length == 0'

step "IKEv1, CBC"
swan a --terminate --ike gw >/dev/null 2>&1
ike_conn a 1 $ME "$GW" aes128-sha256-modp2048 aes256-sha256 && ike_conn b 1 "$GW" $ME aes128-sha256-modp2048 aes256-sha256 || die "connections"
check "IKEv1 main mode: a CHILD_SA" swan a --initiate --child c
check "both directions are in the dataplane" wait_for 5 sas "$both_live and all(.[]; .algorithm == \"aes-cbc-256-sha256\")"
alive "packets both ways" 50 2
(alive "0 lost over 2 renewals" 100 120) &
bg=$!
more() { # COUNT: in IKEv1 the old one stays
	[ "$(ike_children a | wc -l)" -gt "$1" ] && [ "$(ike_children b | wc -l)" -gt "$1" ]
}
for end in a b; do
	sleep 1
	cnt=$(ike_children a | wc -l)
	swan $end --rekey --child c >/dev/null || bad "rekey by $end"
	wait_for 30 more "$cnt" || bad "rekey by $end: not done"
done
touch "$WORK/enough"
wait $bg

kill "$CAP" 2>/dev/null
wait "$CAP" 2>/dev/null
check "no MGCP in clear on the wire" test "$(tshark -r "$WORK/gw0.pcap" -Y 'udp.port == 2427' -T fields -e frame.number 2>/dev/null | wc -l)" = 0
ike_stop a TERM
ike_stop b TERM
check "the appliance stops cleanly" appliance_stop
sc_end
