#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Direct media through a whole appliance: phones, and a phone and a gateway, speak to each other under keys that
# signalling gave them; the appliance carries none of it. What does not meet is relayed; a call outlives the controlplane.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# May run beside another.
# Rows: 001:P1-107; 004a:SRTP-05, SRTP-06.
set -u
SC_NAME=direct
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
CHECK_EDGE=100000

ns_up || die "network namespaces could not be made"
sc_phones $(seq 1 12)
for n in $(seq 1 4); do ip -n "$NS_GW" addr add "$(sc_gw_ip "$n")/24" dev gw0; done
# A way between phones and gateways that is not the appliance's.
ip link add way0 netns "$NS_PHONE" type veth peer name way1 netns "$NS_GW"
ip -n "$NS_PHONE" addr add 10.77.9.1/24 dev way0
ip -n "$NS_GW" addr add 10.77.9.2/24 dev way1
ip -n "$NS_PHONE" link set way0 up
ip -n "$NS_GW" link set way1 up
for ns in "$NS_PHONE" "$NS_GW"; do ip netns exec "$ns" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0; done
ip netns exec "$NS_PHONE" sysctl -qw net.ipv4.conf.way0.rp_filter=0
ip netns exec "$NS_GW" sysctl -qw net.ipv4.conf.way1.rp_filter=0
ip -n "$NS_PHONE" route add 10.77.2.0/24 via 10.77.9.2
ip -n "$NS_GW" route add 10.77.1.0/24 via 10.77.9.1
sc_speech 3
sox "$WORK/a.wav" "$WORK/long.wav" repeat 2 2>/dev/null || die "sox"
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d' "$WORK/ravelin.yaml"
sed -i '/^media:/a\  regions: [{name: phones, mode: direct}, {name: gateways, mode: direct}]' "$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"

step "devices and gateways"
for n in 1 2 3 4 5 6 7 8; do sc_device "$n" encrypted || die "device $n"; done
sc_device 9 encrypted --suite AES_CM_128_HMAC_SHA1_80 || die "device 9"
sc_device 10 authenticated || die "device 10"
declare -A GW_OPTS
for n in 1 2; do
	# (SCCP cannot tell a phone of a key's lifetime: the second one's calls are relayed)
	ctl gateway add "gw$n.example" --address "$(sc_gw_ip "$n")" --region gateways --endpoint aaln/1 --number "90$n*" \
		$([ $n = 1 ] || echo --lifetime 32) >/dev/null || die "gateway $n"
	sc_sas "$n" aes-gcm-128 transport || die "SAs of gateway $n"
	GW_OPTS[$n]="${SA_OPTS[*]}"
done
sc_capture "$NS_APP" app0 "$WORK/app0.pcap" || die tcpdump
CAP1=$SC_CAP
sc_capture "$NS_APP" app1 "$WORK/app1.pcap" || die tcpdump
CAP2=$SC_CAP
sc_capture "$NS_PHONE" way0 "$WORK/way0.pcap" || die tcpdump
CAP3=$SC_CAP

C='.call[0]'
G='.gateway[0]'
CM32=AES_CM_128_HMAC_SHA1_32
check_media() { # TEXT FILE PATH
	check_json "$1: media both ways, nothing lost, nothing forged" "$2" \
		"$3 | .sent.packets > 50 and .received.packets > 50 and .received.lost == 0 and .received.auth_failed == 0"
	check_json "$1: RTCP arrived and verified" "$2" "$3 | .rtcp.verified > 0 and .rtcp.bad == 0"
}
# A call lasts until all was asked about it, and then so long that there is something to compare.
talk_on() { sleep 4; }
# phones TEXT A B SUITE STATUS MEDIA LEGS
phones() {
	local text=$1 a=$2 b=$3 suite=$4 status=$5 media=$6 legs=$7 pa pb id
	phone "$b" --answer=0.2 --play "$WORK/b.wav" --loop --record "$WORK/p$b.wav" --played "$WORK/p$b.ul" &
	pb=$!
	wait_for 15 registered "$b" || bad "$text: callee registers"
	phone "$a" --dial $((1000 + b)) --play "$WORK/a.wav" --loop --record "$WORK/p$a.wav" --played "$WORK/p$a.ul" &
	pa=$!
	wait_for 15 ctl_holds 'show calls' "any(.[]; .from == \"$((1000 + a))\" and .state == \"connected\")" || bad "$text: connected"
	check_ctl "$text: shown as $media" "show calls" ".[] | select(.from == \"$((1000 + a))\") | .media == \"$media\""
	id=$(ctl -j show calls | jq ".[] | select(.from == \"$((1000 + a))\").id")
	check_ctl "$text: $legs legs" "show legs" "[.[] | select(.call == ${id:-0})] | length == $legs"
	[ "$media" = relay ] || check "$text: its keys are not ours to renew" eval "! ctl rekey ${id:-0} --party phone"
	talk_on
	phone_signal "$a" USR1
	wait $pa
	check "$text: the caller's end" test $? = 0
	wait $pb
	for p in $a $b; do
		check_json "$text: suite $suite both ways at $p" "$WORK/p$p.json" \
			"$C.media | .sent.suite == \"$suite\" and .received.suite == \"$suite\""
		check_media "$text, $p" "$WORK/p$p.json" "$C.media"
		check_json "$text: status $status at $p" "$WORK/p$p.json" "$C.security == $status"
	done
	check_equal "$text: callee heard the caller" "$WORK/p$a.ul" "$WORK/p$b.wav"
	check_equal "$text: caller heard the callee" "$WORK/p$b.ul" "$WORK/p$a.wav" 80
}
case_phones() {
	phones "phones" 1 2 $CM32 3 direct 0
	check_json "phones: the caller sends to the callee" "$WORK/p1.json" "$C.media.sent.to | startswith(\"$(sc_phone_ip 2):\")"
	check_json "phones: the callee sends to the caller" "$WORK/p2.json" "$C.media.sent.to | startswith(\"$(sc_phone_ip 1):\")"
	check "phones: two keys, one for each direction, the same at both" test \
		"$(jq -r 'select(.kind | test("srtp")) | .key + .salt' "$WORK/p1.keys" "$WORK/p2.keys" | sort -u | wc -l)" = 2
}
case_clear() { phones "encrypted and authenticated" 3 10 none 2 direct 0; }
case_suites() {
	local pa pb
	phone 9 --answer=0.2 --play "$WORK/b.wav" --loop --record "$WORK/p9.wav" --played "$WORK/p9.ul" &
	pb=$!
	wait_for 15 registered 9 || bad "suites differ: callee registers"
	phone 4 --dial 1009 --play "$WORK/a.wav" --loop --record "$WORK/p4.wav" --played "$WORK/p4.ul" &
	pa=$!
	wait_for 15 ctl_holds 'show calls' 'any(.[]; .from == "1004" and .state == "connected")' || bad "suites differ: connected"
	check_ctl "suites differ: relayed" "show calls" '.[] | select(.from == "1004") | .media == "relay"'
	talk_on
	phone_signal 4 USR1
	wait $pa
	wait $pb
	check_json "suites differ: each its own" "$WORK/p9.json" "$C.media.sent.suite == \"AES_CM_128_HMAC_SHA1_80\""
	check_json "suites differ: each its own, the other" "$WORK/p4.json" "$C.media.sent.suite == \"$CM32\""
	check_media "suites differ, 4" "$WORK/p4.json" "$C.media"
	check_equal "suites differ: callee heard the caller" "$WORK/p4.ul" "$WORK/p9.wav"
}
# gateway_call TEXT PHONE GATEWAY MEDIA LEGS
gateway_call() {
	local text=$1 a=$2 g=$3 media=$4 legs=$5 pg pp id
	gateway "$g" ${GW_OPTS[$g]} --answer-after 0.3 --calls 1 --play "$WORK/b.wav" --loop --record "$WORK/g$g.wav" --played "$WORK/g$g.ul" &
	pg=$!
	wait_for 20 gateway_up "$g" || bad "$text: the gateway comes up"
	phone "$a" --dial "90${g}1#" --play "$WORK/a.wav" --loop --record "$WORK/p$a.wav" --played "$WORK/p$a.ul" &
	pp=$!
	wait_for 15 ctl_holds 'show calls' "any(.[]; .from == \"$((1000 + a))\" and .state == \"connected\")" || bad "$text: connected"
	check_ctl "$text: shown as $media" "show calls" ".[] | select(.from == \"$((1000 + a))\") | .media == \"$media\""
	id=$(ctl -j show calls | jq ".[] | select(.from == \"$((1000 + a))\").id")
	check_ctl "$text: $legs legs" "show legs" "[.[] | select(.call == ${id:-0})] | length == $legs"
	talk_on
	phone_signal "$a" USR1
	wait $pp
	check "$text: the phone's end" test $? = 0
	wait $pg
	check "$text: the gateway's end" test $? = 0
	check_json "$text: status 3 at the phone" "$WORK/p$a.json" "$C.security == 3"
	check_media "$text, phone" "$WORK/p$a.json" "$C.media"
	check_media "$text, gateway" "$WORK/g$g.json" "$G.connections[0].media"
	check_equal "$text: gateway heard the phone" "$WORK/p$a.ul" "$WORK/g$g.wav"
	check_equal "$text: phone heard the gateway" "$WORK/g$g.ul" "$WORK/p$a.wav" 80
}
case_gateway() {
	gateway_call "gateway" 5 1 direct 0
	check_json "gateway: one suite at both" "$WORK/g1.json" \
		"$G.connections[0] | .media.sent.suite == \"$CM32\" and .media.received.suite == \"$CM32\" and .rekeys == 0"
	check_json "gateway: it sends to the phone" "$WORK/g1.json" "$G.connections[0].media.sent.to | startswith(\"$(sc_phone_ip 5):\")"
	check_json "gateway: the phone sends to it" "$WORK/p5.json" "$C.media.sent.to | startswith(\"$(sc_gw_ip 1):\")"
	check "gateway: the same two keys at both" test \
		"$(jq -r 'select(.kind | test("srtp")) | .key + .salt' "$WORK/p5.keys" "$WORK/g1.keys" | sort -u | wc -l)" = 2
}
case_gateway_relayed() { gateway_call "gateway with a lifetime" 6 2 relay 2; }
# The controlplane is killed in mid-call and comes back: media never knew.
case_killed() {
	local pa pb
	phone 8 --answer=0.2 --play "$WORK/long.wav" --loop --record "$WORK/p8.wav" --played "$WORK/p8.ul" &
	pb=$!
	wait_for 15 registered 8 || bad "killed: callee registers"
	phone 7 --dial 1008 --play "$WORK/long.wav" --loop --record "$WORK/p7.wav" --played "$WORK/p7.ul" &
	pa=$!
	wait_for 15 ctl_holds 'show calls' 'any(.[]; .from == "1007" and .state == "connected")' || bad "killed: connected"
	sleep 1
	kill -9 "$(daemon_pid controlplane)"
	wait "$(daemon_pid controlplane)" 2>/dev/null
	daemon controlplane
	wait_for 15 dataplane_up || bad "killed: it comes back"
	wait_for 15 registered 7 && wait_for 15 registered 8 || bad "killed: the phones come back"
	soon_ctl "killed: the call is there, and direct" 10 "show calls" '.[] | select(.from == "1007") | .media == "direct" and .state == "connected"'
	talk_on
	phone_signal 7 USR1
	wait $pa
	wait $pb
	check_media "killed, caller" "$WORK/p7.json" "$C.media"
	check_media "killed, callee" "$WORK/p8.json" "$C.media"
	check_equal "killed: callee heard the caller" "$WORK/p7.ul" "$WORK/p8.wav" 200
	soon_ctl "killed: the phones ended the call" 5 "show calls" 'all(.[]; .from != "1007")'
}

together() {
	local c pids=
	for c in "$@"; do
		"$c" &
		pids="$pids $!"
	done
	wait $pids
}
step "direct"
together case_phones case_clear case_gateway
kill $CAP1 $CAP2 $CAP3
wait $CAP1 $CAP2 $CAP3 2>/dev/null

step "the wires"
media_of() { tshark -r "$WORK/$1.pcap" -Y "udp && !(udp.port == 2427 || udp.port == 2727 || udp.port == 500 || udp.port == 4500) && ip" 2>/dev/null | wc -l; }
check "no packet of media at the appliance" test "$(media_of app0)" = 0 -a "$(media_of app1)" = 0
check "media between phone and gateway, beside it" test "$(media_of way0)" -gt 100
for k in p5 g1; do
	check "$k: none of its keys on the wires" python3 "$RAVELIN_TOP/scripts/wire.py" keys "$WORK/app0.pcap" "$WORK/app1.pcap" "$WORK/way0.pcap" --keys "$WORK/$k.keys"
done
check "what the phone played is not there in clear" python3 "$RAVELIN_TOP/scripts/wire.py" secrets "$WORK/way0.pcap" --keys "$WORK/p5.keys" --played "$WORK/p5.ul"

step "relayed where it does not meet"
together case_suites case_gateway_relayed
step "controlplane killed"
case_killed

step "what is left"
soon_ctl "no call is left" 3 "show calls" 'length == 0'
check_ctl "no leg is left" "show legs" 'length == 0'
appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
check "every mbuf returned" grep -q 'event=stopped.*mbufs_leaked=0' "$WORK/dataplane.log"
sc_end
