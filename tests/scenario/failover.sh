#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Processes are killed in the middle of calls: the controlplane (3 times, 100 with RAVELIN_FULL=1), the dataplane, both, the
# signer. What goes on, what comes back, what is ended, and that nothing stays behind anywhere.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
set -u
SC_NAME=failover
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
CHECK_EDGE=100000
KILLS=3
[ "${RAVELIN_FULL:-0}" = 0 ] || KILLS=100
SC_PHONE_S=$((400 + KILLS * 30))
SC_GW_S=$((1200 + KILLS * 60))

ns_up || die "network namespaces could not be made"
sc_phones $(seq 1 8)
for n in 1 2; do ip -n "$NS_GW" addr add "$(sc_gw_ip "$n")/24" dev gw0; done
sc_speech 4
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d' "$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"
for n in 1 2 3 4 5; do sc_device "$n" encrypted || die "device $n"; done
for n in 1 2; do
	ctl gateway add "gw$n.example" --address "$(sc_gw_ip "$n")" --region gateways --endpoint aaln/1 \
		--number "9$(printf %02d "$n")*" >/dev/null && sc_sas "$n" aes-gcm-128 transport || die "gateway $n"
	if [ "$n" = 1 ]; then
		gateway 1 "${SA_OPTS[@]}" --answer-after 0.2 --play "$WORK/b.wav" --loop --record "$WORK/g1.wav" --played "$WORK/g1.ul" &
	else
		gateway 2 "${SA_OPTS[@]}" --no-answer &
	fi
	GW_PID[n]=$!
done
wait_for 20 gateway_up 1 && wait_for 20 gateway_up 2 || die "the gateways did not come up"

C='.call[0]'
PH_PID=()
# A long call: phone N, options. Ended by 'phone_signal N USR1'.
talk() {
	local n=$1
	shift
	phone "$n" --play "$WORK/a.wav" --loop --record "$WORK/p$n.wav" --played "$WORK/p$n.ul" --retry 200 "$@" &
	PH_PID[n]=$!
}
call_is() { ctl_holds 'show calls' "any(.[]; .from == \"$((1000 + $1))\" and .state == \"$2\")"; }
# two calls: 1 to the gateway, 2 to phone 3
two_calls() {
	rm -f "$WORK"/p[123].* "$WORK"/p[123].wav
	talk 3 --answer
	wait_for 10 registered 3 || bad "phone 3 registers"
	talk 1 --dial 9015551#
	talk 2 --dial 1003
	wait_for 15 call_is 1 connected && wait_for 15 call_is 2 connected || bad "$1: the calls are connected" "$(ctl show calls)"
}
hang_up_both() { # TEXT: both calls end as they should, and the gateway is told
	local before
	before=$(gw_deleted 1)
	phone_signal 1 USR1
	phone_signal 2 USR1
	check "$1: phone 1 hangs up and goes" wait "${PH_PID[1]}"
	check "$1: phone 2 hangs up and goes" wait "${PH_PID[2]}"
	check "$1: phone 3 sees the end and goes" wait "${PH_PID[3]}"
	soon_ctl "$1: no call is left" 5 "show calls" 'length == 0'
	check "$1: the gateway's connection was deleted" wait_for 5 test_gt gw_deleted 1 "$before"
}
gw_deleted() { grep -c '"connection-deleted"' "$WORK/g$1.events"; }
test_gt() { [ "$("$1" "$2")" -gt "$3" ]; }
# The daemon is one of this shell's children: reap it, without bash's word about it.
kill9() {
	local pid
	pid=$(daemon_pid "$1")
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	return 0
}
speaking() { ctl_holds 'show legs' 'length == 4 and all(.[]; .rx_packets > 60)'; }
all_legs_gone() { ctl_holds 'show legs' 'length == 0'; }
dp_legs() { ctl -j show counters | jq '[.. | objects | select(has("legs")) | .legs | numbers][0]'; }
G1CONN() { jq -c "[.gateway[0].connections[]][$1]" "$WORK/g1.json"; }

step "the controlplane is killed $KILLS times in mid-call"
two_calls "controlplane killed"
sleep 1
KEPT=0
for i in $(seq $KILLS); do
	kill9 controlplane
	sleep 0.$((i % 7))
	daemon controlplane
	wait_for 15 ctl_holds 'show calls' 'length == 2 and all(.[]; .adopted and .state == "connected")' && KEPT=$((KEPT + 1))
	wait_for 15 registered 1 && wait_for 15 registered 2 && wait_for 15 registered 3 || bad "phones return after kill $i"
	check_ctl "kill $i: both calls still shown as encrypted" "show calls" 'length == 2 and all(.[]; .security == "encrypted")'
done
check "both calls were taken over each time ($KEPT of $KILLS)" test $KEPT = "$KILLS"
hang_up_both "controlplane killed"
for p in 1 2 3; do
	check_json "controlplane killed: nothing lost, forged or replayed at phone $p" "$WORK/p$p.json" \
		"$C.media.received | .lost == 0 and .auth_failed == 0 and .replayed == 0 and .packets > 80"
	check_json "controlplane killed: phone $p came back $KILLS times" "$WORK/p$p.json" ".registrations == $KILLS + 1 and .losses == $KILLS"
done
check_equal "controlplane killed: gateway heard phone 1" "$WORK/p1.ul" "$WORK/g1.wav" 80
check_equal "controlplane killed: phone 1 heard the gateway" "$WORK/g1.ul" "$WORK/p1.wav" 80
check_equal "controlplane killed: phone 3 heard phone 2" "$WORK/p2.ul" "$WORK/p3.wav" 80

step "the dataplane is killed in mid-call"
sc_capture "$NS_PHONE" phone0 "$WORK/phone0.pcap" || die tcpdump
CAP1=$SC_CAP
sc_capture "$NS_GW" gw0 "$WORK/gw0.pcap" || die tcpdump
CAP2=$SC_CAP
two_calls "dataplane killed"
check "dataplane killed: media runs" wait_for 10 speaking
sleep 2
KILLED=$(date +%s.%N)
kill9 dataplane
soon_ctl "dataplane killed: alarm dataplane-down" 3 "show alarms" 'any(.[]; .id == "dataplane-down")'
check_ctl "dataplane killed: the calls stand" "show calls" 'length == 2 and all(.[]; .state == "connected")'
RESTART=$(date +%s.%N)
daemon dataplane
wait_for 15 dataplane_up || bad "the dataplane came back"
UP=$(date +%s.%N)
# What had been on the wire before the kill comes again, at once and once more when media is back.
in_phone python3 "$RAVELIN_TOP/scripts/wire.py" resend "$WORK/phone0.pcap" phone0 --before "$KILLED" --to-ip 10.77.1.2 >"$WORK/resent1"
wait_for 20 speaking || bad "media is back"
REPLAYED=$(ctl -j show legs | jq '[.[].replayed] | add')
in_phone python3 "$RAVELIN_TOP/scripts/wire.py" resend "$WORK/phone0.pcap" phone0 --before "$KILLED" --to-ip 10.77.1.2 >"$WORK/resent2"
soon_ctl "replayed packets from before were counted as such ($(cat "$WORK/resent2") sent)" 5 "show legs" \
	"([.[].replayed] | add) - $REPLAYED > 100"
check_ctl "dataplane killed: alarm is gone" "show alarms" 'all(.[]; .id != "dataplane-down")'
kill -0 "${PH_PID[1]}" && kill -0 "${PH_PID[2]}" && kill -0 "${PH_PID[3]}" || bad "the phones still speak"
hang_up_both "dataplane killed"
kill $CAP1 $CAP2
wait $CAP1 $CAP2 2>/dev/null
python3 "$RAVELIN_TOP/scripts/wire.py" gap "$WORK/gw0.pcap" --from 10.77.2.2 --to "$(sc_gw_ip 1)" --at "$RESTART" >"$WORK/gap-gw.json"
python3 "$RAVELIN_TOP/scripts/wire.py" gap "$WORK/phone0.pcap" --from 10.77.1.2 --to "$(sc_phone_ip 3)" --at "$RESTART" >"$WORK/gap-phone.json"
# (measured by how long this machine needs to start it)
for w in gw phone; do
	check_json "media is back at the $w, $(jq .back_s "$WORK/gap-$w.json") s after the restart" "$WORK/gap-$w.json" \
		".back_s > 0 and .back_s < 2 + 3 * ($UP - $RESTART) and .before > 50 and .after > 20"
	check_json "no index was used twice towards the $w" "$WORK/gap-$w.json" '.twice == 0 and .first_after > .last_before'
done
for p in 1 2 3; do
	check_json "dataplane killed: nothing forged or replayed reached phone $p" "$WORK/p$p.json" \
		"$C.media.received | .auth_failed == 0 and .replayed == 0 and .duplicates == 0 and .packets > 100"
	check_json "dataplane killed: phone $p did not lose its registration" "$WORK/p$p.json" '.registrations == 1 and .losses == 0'
done

step "hung up while the dataplane is away"
two_calls "away"
kill9 dataplane
wait_for 3 ctl_holds status '.dataplane.up == false'
BEFORE=$(gw_deleted 1)
phone_signal 1 USR1
phone_signal 2 USR1
wait "${PH_PID[1]}" "${PH_PID[2]}" "${PH_PID[3]}"
soon_ctl "away: no call is left" 5 "show calls" 'length == 0'
daemon dataplane
wait_for 15 dataplane_up || bad "the dataplane came back"
check "away: the gateway is told when the dataplane is back" wait_for 10 test_gt gw_deleted 1 "$BEFORE"

step "both are killed"
two_calls both
kill9 controlplane
kill9 dataplane
BEFORE=$(gw_deleted 1)
daemon dataplane
daemon controlplane
wait_for 15 dataplane_up || bad "they came back"
soon_ctl "both: the calls are ended" 10 "show calls" 'length == 0'
check "both: the gateway is told" wait_for 10 test_gt gw_deleted 1 "$BEFORE"
for p in 1 2 3; do
	wait_for 10 eval "registered $p || ! kill -0 ${PH_PID[$p]}"
	check "both: phone $p is free again and goes" wait_for 20 eval "! kill -0 ${PH_PID[$p]}"
	phone_signal "$p" TERM 2>/dev/null
	wait "${PH_PID[$p]}"
done
check_ctl "both: no leg is left" "show legs" 'length == 0'

step "the dataplane is killed when the controlplane knows no keys any more"
two_calls adopted
kill9 controlplane
daemon controlplane
wait_for 15 ctl_holds 'show calls' 'length == 2 and all(.[]; .adopted)' || bad "adopted: taken over"
for p in 1 2 3; do wait_for 10 registered $p; done
BEFORE=$(gw_deleted 1)
kill9 dataplane
daemon dataplane
wait_for 15 dataplane_up || bad "adopted: the dataplane came back"
soon_ctl "adopted: calls whose keys are lost are ended" 10 "show calls" 'length == 0'
check "adopted: the gateway is told" wait_for 10 test_gt gw_deleted 1 "$BEFORE"
for p in 1 2 3; do
	check "adopted: phone $p is told and goes" wait_for 5 eval "! kill -0 ${PH_PID[$p]}"
	phone_signal "$p" TERM 2>/dev/null
	wait "${PH_PID[$p]}"
	check_json "adopted: phone $p: ended by the appliance" "$WORK/p$p.json" "$C.end == \"hung up by the other side\""
done
check_ctl "adopted: no leg is left" "show legs" 'length == 0'

step "the controlplane is killed while a gateway is given new keys"
two_calls rekeyed
ID=$(ctl -j show calls | jq '.[] | select(.from == "1001").id')
gateway_signal 1 STOP # it gets the command, and answers when nobody is there to hear it
ctl rekey "${ID:-0}" >/dev/null 2>&1 &
ASKED=$!
# What it got lies in its socket.
asked() { in_gw ss -wnaH | awk -v at="$(sc_gw_ip 1):" 'index($4, at) == 1 && $2 > 0 {n++} END {exit n == 0}'; }
wait_for 10 asked || bad "rekeyed: the gateway is asked"
kill9 controlplane
wait $ASKED
gateway_signal 1 CONT
check "rekeyed: the gateway took new keys that nobody else knows" wait_for 5 grep -q '"rekeyed"' "$WORK/g1.events"
sleep 1
BORN=$(date +%s)
daemon controlplane
wait_for 15 ctl_holds 'show calls' 'length == 2 and all(.[]; .adopted)' || bad "rekeyed: taken over"
check "rekeyed: it is given others, by itself" wait_for 15 eval "[ \$(grep -c '\"rekeyed\"' '$WORK/g1.events') -ge 2 ]"
in_use() { # keys that are younger than the new process
	ctl_holds "show legs --call ${ID:-0}" "any(.[]; .party == \"gw1.example\" and .tx_key_age_s != null and
		([.tx_key_age_s, .rx_key_age_s] | max) <= $(($(date +%s) - BORN)))"
}
check "rekeyed: they are used both ways" wait_for 5 in_use
for p in 1 2 3; do wait_for 10 registered $p; done
sleep 6 # longer than anybody takes what comes under an old key
hang_up_both "rekeyed"
check_json "rekeyed: phone 1 heard the gateway" "$WORK/p1.json" "$C.media.received | .packets > 300 and .auth_failed == 0"

step "the controlplane is killed while a gateway rings"
talk 4 --dial 9025551#
wait_for 15 call_is 4 alerting || bad "ringing: the gateway rings"
BEFORE=$(gw_deleted 2)
kill9 controlplane
daemon controlplane
wait_for 15 dataplane_up || bad "the controlplane came back"
check "ringing: the connection of the call that nobody remembers is deleted" wait_for 15 test_gt gw_deleted 2 "$BEFORE"
soon_ctl "ringing: no call is left" 5 "show calls" 'length == 0'
wait_for 10 registered 4
phone_signal 4 TERM
wait "${PH_PID[4]}"

step "the signer is killed"
talk 3 --answer
wait_for 10 registered 3
talk 1 --dial 9015551#
wait_for 15 call_is 1 connected || bad "signer: connected"
kill9 signer
talk 2 --dial 1003
check "signer killed: phones register and call" wait_for 15 call_is 2 connected
check_ctl "signer killed: calls go on" "show calls" 'length == 2 and all(.[]; .security == "encrypted")'
check "signer killed: no certificate is issued meanwhile" eval "! ctl cert issue $(sc_phone_name 6) --out '$WORK'"
daemon signer
sleep 1
check "signer back: certificates are issued again" wait_for 15 ctl cert issue "$(sc_phone_name 6)" --out "$WORK"
hang_up_both "signer killed"
gateway_signal 1 TERM
gateway_signal 2 TERM
wait "${GW_PID[1]}" "${GW_PID[2]}"
for p in 1 2 3; do
	check_json "signer killed: nothing lost at phone $p" "$WORK/p$p.json" "$C.media.received | .lost == 0 and .packets > 50"
done

step "acknowledged, then killed"
KEPT=0
for i in 1 2 3; do
	ctl device add "SEP0000000B000$i" --line "200$i" >/dev/null && kill9 controlplane || bad "acknowledged $i"
	daemon controlplane
	wait_for 15 ctl_holds 'show devices' "any(.[]; .name == \"SEP0000000B000$i\")" && KEPT=$((KEPT + 1))
done
check "a device acknowledged a moment before SIGKILL is there ($KEPT of 3)" test $KEPT = 3

step "SIGTERM"
wait_for 15 dataplane_up
# a call is up while they are told to stop
talk 3 --answer --retry 0
wait_for 10 registered 3
talk 2 --dial 1003 --retry 0
wait_for 15 call_is 2 connected || bad "SIGTERM: connected"
for d in signer dataplane controlplane; do
	pid=$(daemon_pid $d)
	kill -TERM "$pid"
	check "SIGTERM: $d ends" wait_for 10 eval "! kill -0 $pid"
	wait "$pid"
	check "SIGTERM: $d exits with 0" test $? = 0
done
check "SIGTERM: every mbuf returned, with a call up" eval "tail -1 '$WORK/dataplane.log' | grep -q 'event=stopped.*mbufs_leaked=0'"
check "keys and passwords: no log line holds a key in use" eval \
	"! cat '$WORK'/p?.keys '$WORK'/g?.keys | jq -r .key | grep -F -f - '$WORK'/{controlplane,dataplane,signer}.log"
for p in 2 3; do
	phone_signal $p TERM 2>/dev/null
	wait "${PH_PID[$p]}"
done
check_json "gateway: each connection ended by DLCX, none left" "$WORK/g1.json" \
	'.gateway[0] | (.connections | length) == .verbs.CRCX and .verbs.DLCX >= .verbs.CRCX and .verbs.CRCX >= 5'
check_json "gateway: it heard the call whose keys were renewed, through it all" "$WORK/g1.json" \
	'.gateway[0].connections | map(select(.rekeys >= 2)) | length == 1 and (.[0].media.received | .packets > 300 and .auth_failed < 100)'
check_json "gateway: nothing in clear, nothing forged" "$WORK/g1.json" \
	'.gateway[0].wire | .clear_received == 0 and .sa_in[0].auth_failed == 0'
sc_end
