#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# How gateways speak MGCP, all of it inside ESP: the dialect of Cisco's gateways, RFC 3435, and one that is found out, each way; several messages in a
# datagram both ways, provisional responses and their acknowledgement, commands that are said again, refusals of all kinds, RSIP in each method, a second
# call agent, digits by a map. RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# Rows: 004b:MGCP-01; 004c:MG-01.
# May run beside another; takes long.
set -u
SC_NAME=mgcpd
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

ns_up || die "network namespaces could not be made"
sc_phones 1 2 3 4 5 6
for n in 1 2 3 4 5 6 7; do ip -n "$NS_GW" addr add "$(sc_gw_ip "$n")/24" dev gw0; done
PARTNER=10.77.2.9
ip -n "$NS_GW" addr add $PARTNER/24 dev gw0
sc_speech 6
appliance_config || die "configuration"
sed -i -e '/^ipsec:/,$d' -e "s|^  local: 10.77.2.2:2727|&\n  agents: ['ca1@[10.77.2.2]', 'ca2@[$PARTNER]:2727']|" "$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"
for n in 1 2 3 4 5 6; do sc_device "$n" encrypted || die "device $n"; done

declare -A GW_OPTS PG
gw_add() { # N OPTIONS: with SAs
	local n=$1
	shift
	ctl gateway add "gw$n.example" --address "$(sc_gw_ip "$n")" --region gateways --number "90$n*" "$@" >/dev/null && sc_sas "$n" aes-gcm-128 transport &&
		GW_OPTS[$n]="${SA_OPTS[*]}" || die "gateway $n"
}
gw_add 1 --endpoint aaln/S1/SU0/0 --dialect cisco
gw_add 2 --endpoint aaln/1 --piggyback --line fxs
gw_add 3 --endpoint aaln/1 --dialect auto
gw_add 4 --endpoint aaln/1
gw_add 5 --endpoint aaln/1 --endpoint aaln/2 --line fxs
gw_add 6 --endpoint aaln/1 --line fxs --digit-map '(0T|1xxx|2x.T)' --bearer a-law
gw_add 7 --endpoint aaln/1 --line fxs --quarantine loop
sc_capture "$NS_GW" gw0 "$WORK/gw0.pcap" || die tcpdump
CAP=$SC_CAP
gw_run() { # N OPTIONS: in the background, with a FIFO that says what it is to do
	local n=$1
	shift
	[ -p "$WORK/g$n.fifo" ] || mkfifo "$WORK/g$n.fifo"
	SC_GW_S=900 gateway "$n" ${GW_OPTS[$n]} --control "$WORK/g$n.fifo" "$@" &
	PG[$n]=$!
}
tell() { # N LINE...
	local n=$1
	shift
	printf '%s\n' "$@" >"$WORK/g$n.fifo"
}
gw_stop() { # N
	gateway_signal "$1" TERM
	wait "${PG[$1]}"
}
event() { # N FILTER: one of its events is so
	jq -es "any(.[]; $2)" "$WORK/g$1.events"
}
events() { # N FILTER: how many are
	jq -s "[.[] | select($2)] | length" "$WORK/g$1.events"
}
gw_is() { # N FILTER: of 'show gateways'
	ctl_holds 'show gateways' ".[] | select(.name == \"gw$1.example\") | $2"
}
soon_gw() { # TEXT SECONDS N FILTER
	if wait_for "$2" gw_is "$3" "$4"; then ok "$1"; else check_ctl "$1" "show gateways" ".[] | select(.name == \"gw$3.example\") | $4"; fi
}
SC_PHONE_S=300
call() { # TEXT PHONE N: the phone calls the gateway's phone, and both speak encrypted
	local text=$1 p=$2 n=$3
	phone "$p" --dial "90${n}1#" --duration 300 &
	PP=$!
	check "$text: encrypted" wait_for 30 ctl_holds 'show calls' "any(.[]; .from == \"100$p\" and .state == \"connected\" and .security == \"encrypted\")"
	phone_signal "$p" USR1
	check "$text: ended" wait_for 20 ctl_holds 'show calls' "all(.[]; .from != \"100$p\")"
	wait $PP
}

step "a Cisco gateway: MGCP 0.1, port 2427 on both sides, keep-alives, a=X-crypto"
gw_run 1 --agent 10.77.2.2:2427 --endpoint aaln/S1/SU0/0 --mgcp-version 0.1 --keepalive 15 --answer-after 0.1
soon_gw "it is up" 25 1 '.state == "up" and .version == "0.1" and .crypto == "x" and .local_port == 2427'
call "a call to it" 1 1

step "RFC 3435: several messages in a datagram, provisional responses"
gw_run 2 --piggyback --provisional 300 --keepalive 3600 --answer-after 0.1
soon_gw "it is up" 25 2 '.state == "up" and .version == "1.0" and .local_port == 2727'
call "a call to it" 2 2
tell 2 'notify aaln/1 L/hf' 'notify aaln/1 L/hf' keepalive
together() { [ "$(events 2 '.event == "answered" and .rsip == false')" -ge 4 ]; }
check "notifications that come in one datagram are each answered" wait_for 10 together

step "which dialect it is, found out"
gw_run 3 --agent 10.77.2.2:2427 --mgcp-version 0.1 --keepalive 15 --answer-after 0.1
soon_gw "as the Cisco one" 25 3 '.state == "up" and .heard and .version == "0.1" and .crypto == "x" and .local_port == 2427'
call "a call to it" 3 3
gw_stop 3
check_json "its key went in a=X-crypto" "$WORK/g3.json" '.gateway[0].connections[0].crypto == "X-crypto"'
GW_OPTS[3]=${GW_OPTS[3]/--sa-out spi=/--sa-out seq=1000,spi=} # under the same SA: not from the beginning
gw_run 3 --agent 10.77.2.2:2727 --answer-after 0.1
soon_gw "after its restart as RFC 3435" 25 3 '.state == "up" and .version == "1.0" and .local_port == 2727'
call "a call to it" 3 3

step "once, however often it is said"
gw_run 5 --endpoint aaln/2 --answer-after 0.1
soon_gw "it is up" 25 5 '.state == "up" and .endpoints_in_service == 2'
wait_for 20 event 5 '.event == "command" and .verb == "RQNT" and .endpoint == "aaln/2@gw5.example"' || bad "its phones are watched"
tell 5 'notify aaln/2 L/hu'
wait_for 10 event 5 '.event == "answered" and .code == 200 and .rsip == false' || bad "the notification is answered"
HEARD=$(ctl -j show gateways | jq '.[] | select(.name == "gw5.example") | .events')
tell 5 again
check "said again, it is answered" wait_for 10 event 5 '.event == "late-answer" and .code == 200'
check "and not done again" gw_is 5 ".events == $HEARD and .repeats == 0"
kill -9 "$(daemon_pid dataplane)"
wait "$(daemon_pid dataplane)" 2>/dev/null
daemon dataplane
wait_for 60 dataplane_up || die "the dataplane did not come back"
answers() { [ "$(events 5 '.event == "late-answer" and .code == 200')" -ge 2 ]; }
told_again() { # the SAs may not be there yet
	tell 5 again
	wait_for 3 answers
}
check "said again after a kill -9 of the dataplane, it is answered" wait_for 25 told_again
check "and not done again" gw_is 5 '.repeats >= 1'
soon_gw "it is up" 60 5 '.state == "up" and .endpoints_in_service == 2'

step "restart methods"
methods() { # METHOD DELAY ENDPOINTS-IN-SERVICE
	tell 5 "rsip $1 $2 aaln/1"
	soon_gw "$1 (RD: $2)" 15 5 ".endpoints_in_service == $3"
}
methods graceful 600 1
methods cancel-graceful 0 2
methods forced 0 1
methods restart 0 2
methods restart 600 1
methods disconnected 0 2
tell 5 'rsip forced 0 aaln/*'
soon_gw "forced, by a wildcard" 15 5 '.endpoints_in_service == 0 and .takes_calls == false'
tell 5 'rsip restart 0 *'
soon_gw "restart, by a wildcard" 15 5 '.endpoints_in_service == 2 and .takes_calls'
tell 5 'rsip graceful 2 aaln/2'
soon_gw "graceful with a delay" 15 5 '.endpoints_in_service == 1'

step "refused for now, and for good"
tell 5 'fail RQNT 400 1' 'rsip restart 0 *'
again() { jq -es '[.[] | select(.event == "command" and .verb == "RQNT")] | [.[] | select(.answer == "400")][0].endpoint as $e | (map(.answer) | index("400")) as $i | .[$i:] | any(.[]; .endpoint == $e and .answer == "200")' "$WORK/g5.events"; }
check "a request that was refused by 400 is made again" wait_for 90 again
# One call that is offered to it five times: what it refuses must be refused within half a minute to count.
ctl pattern add '7.!' --discard predot --to gw5.example/aaln/1 --to gw5.example/aaln/2 --to gw5.example/aaln/1 --to gw5.example/aaln/2 \
	--to gw5.example/aaln/1 >/dev/null || die pattern
OPENED=$(ctl -j show gateways | jq '.[] | select(.name == "gw5.example") | .breaker_opened')
tell 5 'fail CRCX 502 20'
for _ in 1 2 3; do
	gw_is 5 ".breaker_opened > ${OPENED:-0}" || phone 4 --dial 71#
done
check "five failures open the circuit breaker" gw_is 5 ".breaker_opened > ${OPENED:-0}"
tell 5 'fail CRCX 502 0'
soon_gw "the probe closes it, and it takes calls again" 60 5 '.breaker == "closed" and .takes_calls'
call "a call to it" 5 5
tell 5 'fail CRCX 521 1'
phone 6 --dial 9051#
soon_gw "521 to a command of ours: asked whose it is, no failure" 15 5 '.endpoints_in_service == 2 and .endpoints_elsewhere == 0 and .breaker == "closed"'

step "digits by a map, and in a loop"
dialled() { # N TEXT: the gateway's phone calls the sixth
	SC_PHONE_S=90 phone 6 --answer=0.2 &
	PP=$!
	wait_for 15 registered 6 || bad "the phone registers"
	gw_run "$1" --dial 1006 --duration 2 --calls 1
	wait_for 60 ctl_holds 'show calls' 'any(.[]; .to == "1006" and .state == "connected" and .security == "encrypted")' || bad "$2: connected"
	wait "${PG[$1]}"
	check "$2: it ends" test $? = 0
	wait $PP
}
dialled 6 "by a map"
check_json "all digits in one notification" "$WORK/g6.json" '.gateway[0] | .spoken.maps >= 1 and .spoken.mapped == 1 and .verbs.EPCF >= 1'
dialled 7 "in a loop"
check_json "a notification each, for one request" "$WORK/g7.json" '.gateway[0].spoken | .looped == 4 and .maps == 0'

step "a second call agent"
K_IN=$(rand_hex 20) K_OUT=$(rand_hex 20)
in_gw timeout 600 /usr/bin/python3 "$RAVELIN_TOP/tests/scenario/mgcp_partner.py" $PARTNER "$(sc_gw_ip 4)" 0x3100 "$K_IN" 0x3200 "$K_OUT" 'ca3@[10.77.2.8]:2727' \
	>"$WORK/partner.txt" 2>"$WORK/partner.log" &
wait_for 20 grep -q ready "$WORK/partner.txt" || die "the partner did not start"
ctl gateway drain gw4.example >/dev/null
gw_run 4 --sa-out "spi=0x3100,key=$K_IN,alg=aes-gcm-128,peer=$PARTNER" --sa-in "spi=0x3200,key=$K_OUT,alg=aes-gcm-128,peer=$PARTNER" --no-answer
check "what is not served here is sent on (521), and goes" wait_for 25 grep -q '^RSIP .*RM: restart' "$WORK/partner.txt"
check "and was told whom to go to" event 4 '.event == "redirected" and .code == 521'
ctl gateway restore gw4.example >/dev/null
soon_gw "an endpoint that notifies a stranger is left to it" 30 4 '.endpoints_elsewhere == 1 and .takes_calls == false and .other_agent == "ca3@[10.77.2.8]:2727"'
check_ctl "with an alarm" "show alarms" 'any(.[]; .id == "gateway-other-agent" and .subject == "gw4.example")'
kill -USR1 $(pgrep -f "^/usr/bin/python3 [^ ]*mgcp_partner.py $PARTNER .* $K_OUT ")
soon_gw "one that notifies a partner is claimed" 90 4 '.claimed == 1 and .endpoints_elsewhere == 0 and .takes_calls'
HEARD=$(ctl -j show gateways | jq '.[] | select(.name == "gw4.example") | .events')
tell 4 'notify aaln/1 L/hf'
soon_gw "and notifies us" 10 4 ".events > ${HEARD:-0}"
check_ctl "the alarm is gone" "show alarms" 'all(.[]; .id != "gateway-other-agent")'
kill $(pgrep -f "^/usr/bin/python3 [^ ]*mgcp_partner.py $PARTNER .* $K_OUT ")

step "alone again: all that is connected is deleted at once"
sed -i '/^  agents:/d' "$WORK/ravelin.yaml"
kill -9 "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)" 2>/dev/null
daemon controlplane
wait_for 60 dataplane_up || die "the controlplane did not come back"
check "DLCX of all endpoints" wait_for 60 event 5 '.event == "command" and .verb == "DLCX" and .endpoint == "*@gw5.example" and .answer == "250"'

step "the wire, and what is left"
alive() { [ "$(events 1 '.event == "sent" and .verb == "NTFY" and .endpoint == "*"')" -ge 3 ]; }
check "keep-alives each 15 s" wait_for 60 alive
for n in 1 2 3 4 5; do gw_stop $n; done # the others have ended
kill $CAP
wait $CAP 2>/dev/null
check_json "the Cisco gateway: keep-alives answered, key in a=X-crypto" "$WORK/g1.json" '.gateway[0] | .ntfy_acked >= 3 and .gave_up == 0 and .connections[0].crypto == "X-crypto"'
check_json "the other: 100, the answer, 000" "$WORK/g2.json" \
	'.gateway[0] | .spoken.provisional >= 3 and .spoken.acknowledged >= 3 and .verbs.CRCX == 1 and .connections[0].crypto == "crypto"'
check_json "several messages in one datagram, both ways" "$WORK/g2.json" '.gateway[0].spoken | .piggybacked_out >= 1 and .piggybacked_in >= 1'
check_json "it refused calls on purpose, and a request" "$WORK/g5.json" '.gateway[0].spoken.failed_on_purpose >= 7'
for n in 1 2 3 4 5 6 7; do
	check_json "gateway $n: all inside ESP, nothing malformed" "$WORK/g$n.json" '.gateway[0] | .wire.clear_received == 0 and .bad_messages == 0 and .gave_up == 0'
	check "gateway $n: none of its keys on the wire" python3 "$RAVELIN_TOP/scripts/wire.py" keys "$WORK/gw0.pcap" --keys "$WORK/g$n.keys"
done
sc_shark "the dialects" "$WORK/gw0.pcap" 200 CRCX MDCX DLCX RQNT NTFY RSIP AUEP EPCF
appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
sc_end
