#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Calls through a whole appliance: phone to phone and phone to gateway, in every mix of security, ended by either side or
# by the operator, not answered, refused; what each party is shown, what it heard, and what was on the wire.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# May run beside another; takes long.
# Rows: 000:P0-08, P0-18, P0-19, P0-22, R-05, R-08; 001:P1-001, P1-005, P1-011, P1-012, P1-015, P1-016, P1-020, P1-021, P1-026,
# P1-097, P1-099, P1-100, P1-103 to P1-106, P1-109, P1-110, P1-113 to P1-117, P1-122, R-04, R-15 to R-17; 004a:CALL-01, CALL-02,
# CALL-12, GEN-01, GEN-02, GEN-05, GW-01, SRTP-01 to SRTP-04; 004b:MGCP-01, MGCP-02, MGCP-04, MGCP-06, MGCP-07, R-30, R-39, R-40,
# SEC-12, SEC-15; 004c:MG-01, MG-02, MG-05 to MG-07, MG-09, MG-11.
set -u
SC_NAME=calls
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

ns_up || die "network namespaces could not be made"
sc_phones $(seq 1 40)
for n in $(seq 1 12); do ip -n "$NS_GW" addr add "$(sc_gw_ip "$n")/24" dev gw0; done
sc_speech 6
appliance_config || die "configuration"
printf 'mgcp:\n  local: 10.77.2.2:2727\n  answer_s: 12\ncalls: {busy_trigger: 1} # these phones have one call at a time\n' >"$WORK/mgcp"
sed -i -e '/^mgcp:/,/local:/d' -e '/^ipsec:/,$d' "$WORK/ravelin.yaml"
cat "$WORK/mgcp" >>"$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"

step "devices and gateways"
ENC="1 2 5 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32"
for n in $ENC; do sc_device "$n" encrypted || die "device $n"; done
sc_device 3 authenticated && sc_device 4 nonsecure && sc_device 6 authenticated && sc_device 33 nonsecure || die "devices"

# gateway  SA algorithm        SA mode    options of its record
GATEWAYS="1 aes-gcm-128         transport -
2           aes-cbc-128-sha1-96 transport -
3           aes-gcm-128         tunnel    -
4           -                   -         -
5           -                   -         --clear --keys-without-ipsec
6           aes-gcm-128         transport --version 0.1 --crypto x
7           -                   -         --clear
8           aes-gcm-128         transport -
9           aes-cbc-128-sha1-96 tunnel    -
10          aes-gcm-128         transport -
11          aes-gcm-128         transport -"
declare -A GW_OPTS
while read -r n alg mode opts; do
	[ "$opts" != - ] || opts=
	ctl gateway add "gw$n.example" --address "$(sc_gw_ip "$n")" --region gateways --endpoint aaln/1 \
		--number "9$(printf %02d "$n")*" $opts >/dev/null || die "gateway $n"
	GW_OPTS[$n]=
	[ "$alg" = - ] || { sc_sas "$n" "$alg" "$mode" && GW_OPTS[$n]="${SA_OPTS[*]}"; } || die "SAs of gateway $n"
done <<<"$GATEWAYS"
sc_capture "$NS_PHONE" phone0 "$WORK/phone0.pcap" || die tcpdump
CAP1=$SC_CAP
sc_capture "$NS_GW" gw0 "$WORK/gw0.pcap" || die tcpdump
CAP2=$SC_CAP

# state_is N STATE: the last call state that phone N was shown.
state_is() { [ "$(grep '"call-state"' "$WORK/p$1.events" | tail -1 | jq .state)" = "$2" ]; }
# What a phone of a finished call says about it.
C='.call[0]'
check_media() { # TEXT FILE PATH: packets both ways, none lost or forged, RTCP verified
	check_json "$1: media both ways, nothing lost" "$2" \
		"$3 | .sent.packets > 50 and .received.packets > 50 and .received.lost == 0 and .received.auth_failed == 0"
	check_json "$1: RTCP arrived and verified" "$2" "$3 | .rtcp.verified > 0 and .rtcp.bad == 0"
}
PLAY_A="--play $WORK/a.wav"
PLAY_B="--play $WORK/b.wav --loop"
rec() { printf -- '--record %s/p%d.wav --played %s/p%d.ul' "$WORK" "$1" "$WORK" "$1"; }
grec() { printf -- '--record %s/g%d.wav --played %s/g%d.ul' "$WORK" "$1" "$WORK" "$1"; }

# phone_call TEXT A B STATUS SUITE A-OPTIONS B-OPTIONS: A calls B, 6 s of speech each way, A hangs up.
phone_call() {
	local text=$1 a=$2 b=$3 status=$4 suite=$5 ao=$6 bo=$7 pb
	phone "$b" --answer=0.2 $PLAY_B $(rec "$b") $bo &
	pb=$!
	wait_for 15 registered "$b" || bad "$text: callee registers"
	check "$text: the call is made and ends" phone "$a" --dial $((1000 + b)) $PLAY_A $(rec "$a") --hangup $ao
	check "$text: the callee's end" wait $pb
	check_json "$text: caller sees off-hook, ring-out, connected, on-hook" "$WORK/p$a.json" \
		"$C.states as \$s | [1, 3, 5, 2] | map(. as \$x | \$s | index(\$x)) | . == sort and all(. != null)"
	check_json "$text: callee sees ring-in, connected, on-hook" "$WORK/p$b.json" \
		"$C.states as \$s | [4, 5, 2] | map(. as \$x | \$s | index(\$x)) | . == sort and all(. != null)"
	check_json "$text: status $status at the caller" "$WORK/p$a.json" "$C.security == $status"
	check_json "$text: status $status at the callee" "$WORK/p$b.json" "$C.security == $status"
	for p in $a $b; do
		check_json "$text: suite $suite both ways at $p" "$WORK/p$p.json" \
			"$C.media | .sent.suite == \"$suite\" and .received.suite == \"$suite\""
		check_media "$text, $p" "$WORK/p$p.json" "$C.media"
	done
	check_equal "$text: callee heard what the caller played" "$WORK/p$a.ul" "$WORK/p$b.wav"
	check_equal "$text: caller heard what the callee played" "$WORK/p$b.ul" "$WORK/p$a.wav" 80
	check_json "$text: hung up by the caller" "$WORK/p$a.json" "$C.hung_up_by_us == true"
	check_json "$text: not by the callee" "$WORK/p$b.json" "$C.hung_up_by_us == false and $C.end == \"hung up by the other side\""
}

CM32=AES_CM_128_HMAC_SHA1_32
case_encrypted() {
	phone_call "encrypted to encrypted" 1 2 3 $CM32 "" ""
	check_json "encrypted to encrypted: no lock at the caller before media runs" "$WORK/p1.json" \
		"$C.security_sequence | .[0] != 3 and .[-1] == 3"
	check_json "encrypted to encrypted: no lock at the callee before media runs" "$WORK/p2.json" \
		"$C.security_sequence | .[0] != 3 and .[-1] == 3"
	# four directions of two legs: four keys, none twice
	check "encrypted to encrypted: each leg and direction has a key of its own" test \
		"$(jq -r 'select(.kind | test("srtp")) | .key + .salt' "$WORK/p1.keys" "$WORK/p2.keys" | sort -u | wc -l)" = 4
}
case_authenticated() { phone_call "encrypted to authenticated" 5 3 2 none "" ""; }
case_nonsecure() { phone_call "encrypted to non-secure" 7 4 1 none "" "--tcp"; }
case_enbloc() { phone_call "en bloc, answered by the hook" 13 14 3 $CM32 --enbloc --answer-offhook; }

case_callee_hangs_up() {
	local pa pb
	phone 9 --answer $PLAY_B $(rec 9) &
	pb=$!
	wait_for 15 registered 9
	phone 8 --dial 1009 $PLAY_A $(rec 8) &
	pa=$!
	wait_for 10 ctl_holds 'show calls' 'any(.[]; .from == "1008" and .state == "connected")' ||
		bad "callee hangs up: connected"
	# a third party calls one that speaks, and goes on doing so until that is over
	phone 10 --dial 1009 >/dev/null
	phone_signal 9 USR1
	check_json "busy: the caller is shown busy and was not connected" "$WORK/p10.json" \
		"$C | (.states | index(6) != null and index(5) == null) and .connected == false"
	wait $pb
	wait $pa
	check_json "callee hangs up: the caller is told" "$WORK/p8.json" \
		"$C.connected and $C.hung_up_by_us == false and $C.states[-1] == 2"
	check_json "callee hangs up: the callee did it" "$WORK/p9.json" "$C.connected and $C.hung_up_by_us"
	check_json "busy: the running call was not disturbed" "$WORK/p9.json" "$C.security == 3 and $C.media.received.lost == 0"
}

case_refusals() {
	phone 11 --dial 7777#
	check_json "unknown number: shown as invalid" "$WORK/p11.json" "$C.states | index(14) != null and index(5) == null"
	phone 11 --dial 1012# # never registers
	check_json "not registered: congestion, not connected" "$WORK/p11.json" \
		"$C.states | index(7) != null and index(5) == null and index(3) == null"
	phone 11 --enbloc --dial 5550000
	check_json "unknown number en bloc: shown as invalid" "$WORK/p11.json" "$C.states | index(14) != null"
}

case_no_answer() {
	local pb
	phone 16 --duration 120 &
	pb=$!
	wait_for 15 registered 16
	phone 15 --dial 1016
	check_json "no answer: the caller rings out, then congestion" "$WORK/p15.json" \
		"$C.states as \$s | (\$s | index(3)) as \$r | (\$s | index(7)) as \$c | \$r != null and \$c != null and \$r < \$c"
	soon_ctl "no answer: the callee is idle again" 5 "show calls" 'all(.[]; .to != "1016")'
	wait_for 5 state_is 16 2 || bad "no answer: the callee stops ringing"
	phone_signal 16 TERM 2>/dev/null
	wait $pb
	check_json "no answer: the callee rang, and stopped" "$WORK/p16.json" \
		"$C.states | index(4) != null and .[-1] == 2 and index(5) == null"
}

case_caller_gives_up() {
	local pb
	phone 18 --answer=60 &
	pb=$!
	wait_for 15 registered 18
	phone 17 --dial 1018 &
	wait_for 10 ctl_holds 'show calls' 'any(.[]; .from == "1017" and .state == "alerting")' || bad "caller gives up: rings"
	phone_signal 17 USR1
	soon_ctl "caller gives up: the call is gone" 5 "show calls" 'all(.[]; .from != "1017")'
	wait_for 5 state_is 18 2 || bad "caller gives up: the callee is told"
	phone_signal 18 TERM
	wait $pb
	check_json "caller gives up: the callee stops ringing" "$WORK/p18.json" "$C.states | index(4) != null and .[-1] == 2 and index(5) == null"
}

case_operator() {
	local pa pb id
	phone 20 --answer $PLAY_B &
	pb=$!
	wait_for 15 registered 20
	phone 19 --dial 1020 $PLAY_A &
	pa=$!
	wait_for 10 ctl_holds 'show calls' 'any(.[]; .from == "1019" and .state == "connected")' || bad "operator: connected"
	id=$(ctl -j show calls | jq '.[] | select(.from == "1019").id')
	check_ctl "operator: legs of the call are listed with their counters" "show legs" \
		"[.[] | select(.call == ${id:-0})] | length == 2 and all(.[]; .suite == \"$CM32\")"
	check "operator: call hangup" ctl call hangup "${id:-0}"
	wait $pa
	wait $pb
	for p in 19 20; do
		check_json "operator: the call ends at $p" "$WORK/p$p.json" "$C | .connected and .hung_up_by_us == false and .states[-1] == 2"
	done
	check "operator: a call that is not there cannot be hung up" eval "! ctl call hangup 4242"
}

# gateway_call TEXT PHONE GATEWAY STATUS PHONE-SUITE GATEWAY-SUITE GATEWAY-OPTIONS: 6 s of speech each way, the phone hangs up.
G='.gateway[0]'
gateway_call() {
	local text=$1 a=$2 g=$3 status=$4 psuite=$5 gsuite=$6 go=$7 pg
	gateway "$g" ${GW_OPTS[$g]} --answer-after 0.3 --calls 1 $PLAY_B $(grec "$g") $go &
	pg=$!
	wait_for 20 gateway_up "$g" || bad "$text: the gateway comes up"
	check "$text: the call is made and ends" phone "$a" --dial "9$(printf %02d "$g")5551#" $PLAY_A $(rec "$a") --hangup
	check "$text: the gateway's end" wait $pg
	check_json "$text: status $status at the phone" "$WORK/p$a.json" "$C.security == $status"
	check_json "$text: suite at the phone $psuite" "$WORK/p$a.json" \
		"$C.media | .sent.suite == \"$psuite\" and .received.suite == \"$psuite\""
	check_json "$text: suite at the gateway $gsuite" "$WORK/g$g.json" \
		"$G.connections[0].media | .sent.suite == \"$gsuite\" and .received.suite == \"$gsuite\""
	check_media "$text, phone" "$WORK/p$a.json" "$C.media"
	check_media "$text, gateway" "$WORK/g$g.json" "$G.connections[0].media"
	check_equal "$text: gateway heard the phone" "$WORK/p$a.ul" "$WORK/g$g.wav"
	check_equal "$text: phone heard the gateway" "$WORK/g$g.ul" "$WORK/p$a.wav" 80
	check_json "$text: connection made once and deleted" "$WORK/g$g.json" \
		"$G | .verbs.CRCX == 1 and .verbs.DLCX == 1 and (.connections | length) == 1 and all(.endpoints[]; .connections == 1)"
	check_json "$text: nothing malformed in MGCP" "$WORK/g$g.json" "$G.bad_messages == 0"
}
CM80=AES_CM_128_HMAC_SHA1_80
in_esp() { # TEXT GATEWAY: all of its MGCP was inside ESP
	check_json "$1: MGCP only inside ESP" "$WORK/g$2.json" \
		"$G.wire | .esp and .clear_received == 0 and .sa_in[0].packets > 3 and .sa_out[0].packets > 3 and .sa_in[0].auth_failed == 0"
}
case_gw_gcm() { gateway_call "gateway, AES-GCM" 21 1 3 $CM32 $CM80 ""; in_esp "gateway, AES-GCM" 1; }
case_gw_cbc() { gateway_call "gateway, AES-CBC" 22 2 3 $CM32 $CM80 ""; in_esp "gateway, AES-CBC" 2; }
case_gw_tunnel() { gateway_call "gateway, tunnel mode" 23 3 3 $CM32 $CM80 ""; in_esp "gateway, tunnel mode" 3; }
case_gw_cbc_tunnel() { gateway_call "gateway, AES-CBC in tunnel mode" 29 9 3 $CM32 $CM80 ""; in_esp "gateway, AES-CBC in tunnel mode" 9; }
case_gw_01() {
	gateway_call "MGCP 0.1 with X-crypto" 24 6 3 $CM32 $CM80 "--mgcp-version 0.1"
	in_esp "MGCP 0.1 with X-crypto" 6
	check_json "MGCP 0.1: the keys came as X-crypto" "$WORK/g6.json" "$G.connections[0].crypto == \"X-crypto\""
}
case_gw_lossy() {
	gateway_call "every 3rd command lost" 25 8 3 $CM32 $CM80 "--lose 3"
	check_json "every 3rd command lost: repeated, executed once each" "$WORK/g8.json" \
		"$G | .lost_on_purpose > 0 and .verbs.CRCX == 1 and .verbs.MDCX == 1 and .verbs.DLCX == 1"
}
case_gw_keys_clear() {
	# Keys in the open protect nothing: SRTP runs, and no lock is shown.
	gateway_call "keys_without_ipsec" 26 5 1 $CM32 $CM80 ""
}
case_gw_clear() { gateway_call "commands in clear, keys held back" 27 7 1 none none ""; }
case_gw_no_sa() {
	local pg
	gateway 4 --answer-after 0.1 &
	pg=$!
	soon_ctl "no SA: critical alarm gateway-no-sa" 5 "show alarms" \
		'any(.[]; .id == "gateway-no-sa" and .subject == "gw4.example" and .severity == "critical")'
	check "no SA: the call fails" eval "! phone 28 --dial 9045551#"
	check_json "no SA: the caller is shown congestion" "$WORK/p28.json" "$C.states | index(7) != null and index(5) == null"
	check_ctl "no SA: gateway shown as no-sa" "show gateways" '.[] | select(.name == "gw4.example") | .state == "no-sa" and .sa == false'
	gateway_signal 4 TERM
	wait $pg
	check_json "no SA: not one command reached the gateway" "$WORK/g4.json" "$G | .commands == 0 and .wire.clear_received == 0"
}
case_gw_hangs_up() {
	local pg
	gateway 10 ${GW_OPTS[10]} --answer-after 0.3 --calls 1 $PLAY_B &
	pg=$!
	wait_for 20 gateway_up 10 || bad "gateway hangs up: comes up"
	phone 30 --dial 91012# $PLAY_A &
	local pp=$!
	wait_for 10 ctl_holds 'show calls' 'any(.[]; .from == "1030" and .state == "connected")' || bad "gateway hangs up: connected"
	# its only endpoint speaks: the next caller finds all lines busy
	phone 31 --dial 91013#
	check_json "gateway busy: shown busy" "$WORK/p31.json" "$C.states | index(6) != null and index(5) == null"
	gateway_signal 10 USR1
	wait $pp
	wait $pg
	check_json "gateway hangs up: the phone is told" "$WORK/p30.json" \
		"$C.connected and $C.hung_up_by_us == false and $C.states[-1] == 2 and $C.security == 3"
	check_json "gateway hangs up: its connection is deleted" "$WORK/g10.json" "$G | .verbs.DLCX == 1 and .verbs.CRCX == 1"
	# once more, nobody answers there
	# (a later sequence number: with manual keys the old ones are spent, and refused as replays)
	rm "$WORK/g10.events" # or its RSIP would be taken for the new one
	gateway 10 ${GW_OPTS[10]/ --sa-in/,seq=5000 --sa-in} --no-answer &
	pg=$!
	wait_for 20 grep -q '"rsip":true' "$WORK/g10.events" || bad "gateway does not answer: comes back"
	phone 31 --dial 91014#
	check_json "gateway does not answer: ring-out, then congestion" "$WORK/p31.json" \
		"$C.states | index(3) != null and index(7) != null and index(5) == null"
	wait_for 5 gw_rang_off || bad "gateway does not answer: it is told"
	gateway_signal 10 TERM
	wait $pg
	check_json "gateway does not answer: connection deleted, ringing stopped" "$WORK/g10.json" \
		"$G | .verbs.CRCX == 1 and .verbs.DLCX == 1 and .verbs.RQNT == 2"
}

gw_rang_off() { grep -q '"ring-stopped"' "$WORK/g10.events" && grep -q '"connection-deleted"' "$WORK/g10.events"; }

case_gw_early() {
	local pg pp
	# (Two endpoints: a DLCX for * with a connection's name is an error.)
	gateway 11 ${GW_OPTS[11]} --endpoint aaln/2 --answer-after 5 &
	pg=$!
	wait_for 20 gateway_up 11 || bad "hung up during CRCX: the gateway comes up"
	# it holds its breath: the answer to CRCX comes when its call is over
	gateway_signal 11 STOP
	phone 32 --enbloc --dial 9115551 &
	pp=$!
	wait_for 10 ctl_holds 'show calls' 'any(.[]; .from == "1032" and .state == "routing")' || bad "hung up during CRCX: routing"
	phone_signal 32 USR1
	wait $pp
	soon_ctl "hung up during CRCX: the call is over" 5 "show calls" 'all(.[]; .from != "1032")'
	gateway_signal 11 CONT
	check "hung up during CRCX: the connection is made and deleted again" wait_for 10 grep -q connection-deleted "$WORK/g11.events"
	gateway_signal 11 TERM
	wait $pg
	check_json "hung up during CRCX: by DLCX, once" "$WORK/g11.json" "$G | .verbs.CRCX == 1 and .verbs.DLCX == 1"
}

# --- run ---

together() { # CASES...: side by side
	local c pids=
	for c in "$@"; do
		"$c" &
		pids="$pids $!"
	done
	wait $pids
}
step "phones"
together case_encrypted case_authenticated case_nonsecure case_refusals case_no_answer case_caller_gives_up
together case_enbloc case_callee_hangs_up case_operator
step "gateways"
together case_gw_gcm case_gw_cbc case_gw_tunnel case_gw_cbc_tunnel case_gw_hangs_up case_gw_early
together case_gw_01 case_gw_lossy case_gw_keys_clear case_gw_clear case_gw_no_sa

kill $CAP1 $CAP2
wait $CAP1 $CAP2 2>/dev/null

step "the wires"
# Control: where keys may leave in clear the same look finds them.
check "keys_without_ipsec: its keys are on the wire, and found" \
	eval "! python3 '$RAVELIN_TOP/scripts/wire.py' keys '$WORK/gw0.pcap' --keys '$WORK/g5.keys' 2>/dev/null"
for g in 1 2 3 6 8 9; do
	check "gateway $g: none of its keys on the wire" python3 "$RAVELIN_TOP/scripts/wire.py" keys "$WORK/gw0.pcap" --keys "$WORK/g$g.keys"
done
sc_shark "gateways behind AES-GCM and AES-CBC" "$WORK/gw0.pcap" 100 CRCX MDCX DLCX RQNT NTFY RSIP AUEP
for p in 1 2 13 21 26; do
	check "phone $p: none of its keys on the wires" python3 "$RAVELIN_TOP/scripts/wire.py" keys "$WORK/phone0.pcap" "$WORK/gw0.pcap" --keys "$WORK/p$p.keys"
done
crypto_lines() { tshark -r "$WORK/gw0.pcap" -Y "ip.addr == $(sc_gw_ip "$1") && udp" -T fields -e udp.payload 2>/dev/null | xxd -r -p | grep -a -c -i crypto; }
check "keys_without_ipsec: a=crypto in its MGCP" test "$(crypto_lines 5)" -gt 0
check "in clear without keys: no a=crypto in its MGCP" test "$(crypto_lines 7)" = 0
check "in clear without keys: MGCP seen on the wire" grep -a -q 'CRCX [0-9]* aaln/1@gw7.example' "$WORK/gw0.pcap"
check "no SA: nothing at all was sent to it but ARP" test \
	"$(tshark -r "$WORK/gw0.pcap" -Y "ip.dst == $(sc_gw_ip 4)" 2>/dev/null | wc -l)" = 0

step "policy: fallback refuse"
sed -i '/^media:/a\  fallback: refuse' "$WORK/ravelin.yaml"
kill -TERM "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)"
check "controlplane stops cleanly" test $? = 0
daemon controlplane
wait_for 15 dataplane_up || die "the controlplane did not come back"
refuse_authenticated() {
	phone 6 --duration 20 &
	local pb=$!
	wait_for 15 registered 6
	check "refuse: encrypted to authenticated fails" eval "! phone 5 --dial 1006"
	check_json "refuse: the caller is shown congestion, nobody rang" "$WORK/p5.json" \
		"$C.states | index(7) != null and index(5) == null and index(3) == null"
	phone_signal 6 TERM
	wait $pb
	check_json "refuse: the callee was not bothered" "$WORK/p6.json" ".call == []"
}
refuse_gateway() {
	gateway 7 --answer-after 0.1 &
	local pg=$!
	wait_for 20 gateway_up 7
	check "refuse: to a gateway without keys fails" eval "! phone 27 --dial 9075551#"
	gateway_signal 7 TERM
	wait $pg
	check_json "refuse: no connection was made" "$WORK/g7.json" "$G.verbs.CRCX == 0"
}
refuse_encrypted() { phone_call "refuse: encrypted to encrypted goes on" 1 2 3 $CM32 "" ""; }
together refuse_authenticated refuse_gateway refuse_encrypted

step "what is left"
soon_ctl "no call is left" 3 "show calls" 'length == 0'
check_ctl "no leg is left" "show legs" 'length == 0'
appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
check "every mbuf returned" grep -q 'event=stopped.*mbufs_leaked=0' "$WORK/dataplane.log"
sc_end
