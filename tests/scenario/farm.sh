#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A farm of gateways behind a whole appliance, each under its SAs: calls are spread, go over to the next priority, are offered to another
# gateway where one fails or has no SA; drain, restart methods; calls from gateways to a phone and to the farm, and through a kill -9 of
# the controlplane; no key on the wire. RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# May run beside another; takes long.
# Rows: 004b:MGCP-01, MGCP-02, MGCP-06; 004c:MG-01, MG-05, MG-06, MG-11.
set -u
SC_NAME=gwfarm
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

ns_up || die "network namespaces could not be made"
sc_phones 1 2 3 4 5 6 7 8 9
for n in 1 2 3 4 5 6; do ip -n "$NS_GW" addr add "$(sc_gw_ip "$n")/24" dev gw0; done
sc_speech 6
appliance_config || die "configuration"
sed -i -e '/^ipsec:/,$d' "$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"
for n in 1 2 3 4 5 6 7 8 9; do sc_device "$n" encrypted || die "device $n"; done

declare -A GW_OPTS
gw_add() { # N OPTIONS: with SAs
	local n=$1
	shift
	ctl gateway add "gw$n.example" --address "$(sc_gw_ip "$n")" --region gateways "$@" >/dev/null && sc_sas "$n" aes-gcm-128 transport &&
		GW_OPTS[$n]="${SA_OPTS[*]}" || die "gateway $n"
}
gw_add 1 --endpoint aaln/1 --group pstn
gw_add 2 --endpoint aaln/1 --group pstn
gw_add 3 --endpoint aaln/1 --group pstn --priority 2
gw_add 4 --endpoint aaln/7 --group bad # an endpoint that it has not
gw_add 5 --endpoint aaln/1 --line fxs --number 2005
gw_add 6 --endpoint aaln/1 --line fxs
ctl pattern add '0.!' --to @pstn --discard predot >/dev/null && ctl pattern add '8.!' --to @bad --to @pstn --discard predot >/dev/null ||
	die "patterns"
sc_capture "$NS_GW" gw0 "$WORK/gw0.pcap" || die tcpdump
CAP=$SC_CAP
declare -A PG
gw_run() { # N OPTIONS: in the background
	local n=$1
	shift
	SC_GW_S=900 gateway "$n" ${GW_OPTS[$n]} "$@" &
	PG[$n]=$!
	wait_for 25 gateway_up "$n" || bad "gateway $n comes up"
}
gw_stop() { # N
	gateway_signal "$1" TERM
	wait "${PG[$1]}"
}
on_gw() { ctl_holds 'show gateways' "any(.[]; .name == \"gw$1.example\" and .calls == $2)"; }
SC_PHONE_S=400
talk() { # PHONE DIGITS: it calls, and talks until it is told to stop
	phone "$1" --dial "$2" --duration 300 &
	PP=$!
	wait_for 15 ctl_holds 'show calls' "any(.[]; .from == \"100$1\" and .state == \"connected\")" || bad "phone $1 reaches $2"
}
end_talk() { # PHONE
	phone_signal "$1" USR1
	wait_for 10 ctl_holds 'show calls' "all(.[]; .from != \"100$1\")" || bad "phone $1 hangs up"
	phone_signal "$1" TERM
}

step "spread, overflow"
for n in 1 2 3; do gw_run "$n" --answer-after 0.1; done
check_ctl "three gateways take calls" "show gateways" '[.[] | select(.group == "pstn" and .takes_calls and .sa and .breaker == "closed")] | length == 3'
talk 1 0111#
talk 2 0222#
check "two calls are on two gateways of the first priority" eval "on_gw 1 1 && on_gw 2 1 && on_gw 3 0"
talk 3 0333#
check "the third one is on the next priority" on_gw 3 1
check_ctl "calls are encrypted" "show calls" '[.[] | select(.security == "encrypted")] | length == 3'
phone 4 --dial 0444#
check_json "a fourth one hears busy" "$WORK/p4.json" '.call[0] | (.states | index(6) != null) and .connected == false'
for n in 1 2 3; do end_talk $n; done
soon_ctl "and all are free again" 5 "show gateways" 'all(.[]; .calls == 0)'

step "drain"
ctl gateway drain gw1.example >/dev/null
talk 1 0111#
check "a gateway that is drained gets none" eval "on_gw 1 0 && on_gw 2 1"
ctl gateway disable gw2.example >/dev/null
soon_ctl "one that is taken out of service loses its call" 5 "show calls" 'length == 0'
phone_signal 1 TERM
ctl gateway restore gw1.example >/dev/null
ctl gateway restore gw2.example >/dev/null
soon_ctl "both take calls again" 5 "show gateways" '[.[] | select(.group == "pstn" and .takes_calls)] | length == 3'

step "a gateway refuses, another takes the call"
gw_run 4
talk 5 8111#
check "the call is at the next group" wait_for 5 eval "on_gw 4 0 && (on_gw 1 1 || on_gw 2 1)"
soon_ctl "the endpoint that is unknown there is out" 5 "show gateways" '.[] | select(.name == "gw4.example") | .endpoints_in_service == 0 and .failures >= 1'
end_talk 5

step "fail closed"
ctl sa del gw1-out >/dev/null
soon_ctl "without an SA: critical alarm" 5 "show alarms" 'any(.[]; .id == "gateway-no-sa" and .subject == "gw1.example" and .severity == "critical")'
talk 6 0111#
check "its calls go to another gateway" eval "on_gw 1 0 && on_gw 2 1"
end_talk 6
ctl sa del gw2-out >/dev/null
ctl sa del gw3-out >/dev/null
soon_ctl "nobody is left: alarm of the group" 5 "show alarms" 'any(.[]; .id == "gateway-group-out" and .subject == "pstn")'
check "the call is refused" eval "! phone 7 --dial 0111#"
check "with the reason in the log" grep -q 'event=group-takes-no-call.*reason=no-sa' "$WORK/controlplane.log"

step "calls from gateways"
phone 8 --answer=0.2 --play "$WORK/b.wav" --loop --record "$WORK/p8.wav" --played "$WORK/p8.ul" &
PP=$!
wait_for 15 registered 8
gw_run 5 --dial 1008 --duration 6 --calls 1 --play "$WORK/a.wav" --record "$WORK/g5.wav" --played "$WORK/g5.ul"
wait "${PG[5]}"
check "an analog phone calls a phone: it ends" test $? = 0
wait $PP
check_json "encrypted at the phone" "$WORK/p8.json" '.call[0] | .connected and .security == 3'
check_json "SRTP at the gateway, both ways" "$WORK/g5.json" \
	'.gateway[0].connections[0].media | .sent.suite == "AES_CM_128_HMAC_SHA1_80" and .received.suite == .sent.suite and .received.packets > 50 and .received.auth_failed == 0'
check_json "its MGCP was inside ESP, nothing malformed" "$WORK/g5.json" '.gateway[0] | .wire.clear_received == 0 and .bad_messages == 0 and .verbs.CRCX == 1 and .verbs.MDCX == 1 and .verbs.DLCX == 1'
check_equal "the phone heard the gateway" "$WORK/g5.ul" "$WORK/p8.wav" 50
check "dial tone and ring back were its signals" eval "grep -q '\"L/dl\"' '$WORK/g5.events' && grep -q '\"G/rt\"' '$WORK/g5.events'"
exported() { # until its record is there too
	rm -f "$WORK/cdr.json"
	ctl cdr export --json --output "$WORK/cdr.json" && jq -s . "$WORK/cdr.json" >"$WORK/cdr.all" && grep -q '"gw5.example"' "$WORK/cdr.all"
}
check "records are exported" wait_for 10 exported
check_json "the record has the gateway as who called" "$WORK/cdr.all" \
	'any(.[]; .a_device == "gw5.example" and .a_number == "2005" and .b_number == "1008")'

step "through a kill -9"
phone 9 --answer=0.2 &
PP=$!
wait_for 15 registered 9
gw_run 6 --dial 1009
wait_for 15 ctl_holds 'show calls' 'any(.[]; .to == "1009" and .state == "connected")' || bad "connected"
ASKED=$(grep -c '"AUEP"' "$WORK/g6.events")
kill -9 "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)" 2>/dev/null
daemon controlplane
wait_for 20 dataplane_up || die "the controlplane did not come back"
soon_ctl "the call was taken over" 10 "show calls" 'any(.[]; .to == "1009" and .state == "connected")'
wait_for 25 gateway_up 6
listed() { [ "$(grep -c '"AUEP"' "$WORK/g6.events")" -ge $((${ASKED:-0} + 2)) ]; }
check "it is asked whether it is there, and what connections it has" wait_for 10 listed
check_ctl "and stands" "show calls" 'any(.[]; .to == "1009" and .state == "connected")'
gateway_signal 6 USR1
soon_ctl "the gateway hangs up: it ends" 10 "show calls" 'length == 0'
gw_stop 6
check_json "its connections were listed, the call's among them, and that one deleted" "$WORK/g6.json" '.gateway[0].verbs | .AUCX == 0 and .AUEP >= 2 and .DLCX == 1'
phone_signal 9 TERM 2>/dev/null
wait $PP

step "restart methods"
gw_stop 4 # RSIP forced
soon_ctl "forced: its endpoints are out" 5 "show gateways" '.[] | select(.name == "gw4.example") | .endpoints_in_service == 0'

kill $CAP
wait $CAP 2>/dev/null
step "the wire, and what is left"
for g in 1 2 3; do gw_stop $g; done
for g in 1 2 3 5 6; do
	check "gateway $g: none of its keys on the wire" python3 "$RAVELIN_TOP/scripts/wire.py" keys "$WORK/gw0.pcap" --keys "$WORK/g$g.keys"
done
sc_shark "the farm" "$WORK/gw0.pcap" 100 CRCX MDCX DLCX RQNT NTFY RSIP AUEP
soon_ctl "no call is left" 3 "show calls" 'length == 0'
check_ctl "no leg is left" "show legs" 'length == 0'
appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
sc_end
