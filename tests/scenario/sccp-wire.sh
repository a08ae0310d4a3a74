#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Calls of every kind and feature between eight phones of all protocol versions, over TLS and in clear, captured as an administrator would and judged
# by tshark's dissector: no malformed message, none that it does not know. CALLS (300; RAVELIN_FULL: 10,000). And what a capture of signalling
# needs of permission and certificate, from the command line to openssl. RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# May run beside another.
# Rows: 004a:WEB-12; 004c:PC-01 to PC-03, PC-05, PC-06, PC-12, PC-14.
set -u
SC_NAME=wire
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
CALLS=${CALLS:-300}
[ "${RAVELIN_FULL:-0}" = 0 ] || CALLS=10000

ns_up || die "network namespaces could not be made"
sc_phones $(seq 1 8)
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d' "$WORK/ravelin.yaml"
printf 'calls: {park: 8000-8019}\nconference:\n  meetme: [{numbers: 8500-8509}]\n' >>"$WORK/ravelin.yaml"
printf 'capture: {enabled: true}\n' >>"$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"
# Three groups of phones, 1 to 3, 4 to 6, 7 and 8: a pickup group each, and a line that the second and the third share.
for n in $(seq 1 8); do
	mode=encrypted
	[ $((n % 4)) != 0 ] || mode=nonsecure
	sc_device $n $mode || die "device $n"
	ctl line del $((1000 + n)) >/dev/null &&
		ctl line add $((1000 + n)) --device "$(sc_phone_name $n)" --pickup 700$(((n - 1) / 3)) >/dev/null || die "line $n"
done
for n in 2 3 5 6; do ctl line add 200$(((n - 1) / 3)) --device "$(sc_phone_name $n)" --shared >/dev/null || die "the line that $n shares"; done
sc_bridge() {
	ip -n "$NS_GW" addr add "$(sc_gw_ip 1)/24" dev gw0
	ctl gateway add gw1.example --address "$(sc_gw_ip 1)" --region gateways --endpoint 'cnf/$' --conference --ports 24 >/dev/null &&
		sc_sas 1 aes-gcm-128 transport || return 1
	# more than three: a conference's last DLCX and the next one's CRCX are two transactions, in either order
	SC_GW_S=4500 gateway 1 "${SA_OPTS[@]}" $(printf -- '--endpoint cnf/%d ' 1 2 3 4 5 6 7 8) &
	BRIDGE=$!
	wait_for 20 gateway_up 1
}
sc_bridge || die "the conference bridge"
denied() { # COMMAND...
	local out
	out=$(ctl -j "$@") && return 1
	[ "$(jq -r .error.code <<<"$out")" = denied ]
}
restart() { # WHAT MAY BE CAPTURED
	kill "$(daemon_pid controlplane)"
	wait "$(daemon_pid controlplane)"
	sed -i '$d' "$WORK/ravelin.yaml"
	printf 'capture: {enabled: true, signalling: %s, max_s: 3600}\n' "$1" >>"$WORK/ravelin.yaml"
	daemon controlplane
	wait_for 20 dataplane_up || die "the controlplane did not come back"
}

step "who may"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$WORK/auditor.key" -out "$WORK/auditor.pem" -subj /CN=Auditor -days 2 2>/dev/null
check "PC-02 PC-03: not unless the configuration says so" denied capture signalling "$(sc_phone_name 1)" "$WORK/auditor.pem" --max-mb 1
restart allow
check "keys need more" denied capture signalling "$(sc_phone_name 1)" "$WORK/auditor.pem" --max-mb 1 --keys
check_ctl "who tried is in the audit" "show audit --max 100" '[.[] | select(.event == "capture.refused" and .what == "signalling")] | length == 2'

step "$CALLS calls"
check "PC-12: eight captures begin" sc_signalling_begin -- SEP0000000A000{1..8}
check_ctl "with an alarm each" "show alarms" '[.[] | select(.id == "capture-signalling")] | length == 8'
calls() { in_phone timeout 3000 /usr/bin/python3 "$RAVELIN_TOP/tests/scenario/sccp_calls.py" --host 10.77.1.1 --certs "$WORK" --ca "$WORK/ca.pem" "$@"; }
calls --calls "$CALLS" >"$WORK/calls.json" 2>"$WORK/calls.log"
check "$CALLS calls of every kind: $(jq -c .kinds "$WORK/calls.json" 2>/dev/null) $(tail -1 "$WORK/calls.log")" \
	eval '[ "$(jq .calls "$WORK/calls.json")" = '"$CALLS"' ] && [ "$(jq ".kinds | length" "$WORK/calls.json")" = 17 ]'
soon_ctl "nothing is left of them" 5 "show calls" 'length == 0'
check "PC-14: captures end" sc_signalling_stop
check_ctl "and nothing stands" "show alarms" 'all(.[]; .id != "capture-signalling")'
check_ctl "no message is missing in them" "show captures" 'length == 8 and all(.[]; .lost == 0 and .end == "stopped")'
check_ctl "their ends are in the audit" "show audit --max 1000" '[.[] | select(.event == "capture.end")] | length == 8'
sc_signalling_check "tshark's dissector" $((CALLS * 20))
ids=$(tshark -r "$WORK/signalling.pcapng" -Y skinny -T fields -e skinny.messageId 2>/dev/null | tr , '\n' | sort -un | wc -l)
check "$ids kinds of messages" test "$ids" -ge 25
keys() { # MESSAGE: what stands where keys of 16 octets are, each once
	tshark -r "$WORK/signalling.pcapng" -Y "skinny.messageId == 0x$1 && skinny.keylen == 16" -T fields -e skinny.key -e skinny.salt 2>/dev/null | tr '\t' , | sort -u
}
zeros=$(printf '0,%.0s' $(seq 30) | sed 's/,$//')
check "the keys of media are zeros" eval '[ "$(keys 105)" = "$zeros" ] && [ "$(keys 8a)" = "$zeros" ]'

mv "$WORK/signalling.pcapng" "$WORK/calls.pcapng"

step "with media keys"
restart keys
rm -f "$WORK"/state/captures/*
check "may be, now" sc_signalling_begin --keys -- SEP0000000A000{1..3}
check "calls" calls --calls 80
check "captures end" sc_signalling_stop
check "the keys of media are there" eval '[ "$(keys 105 | wc -l)" -gt 10 ] && [ "$(keys 8a | wc -l)" -gt 10 ]'
check "nothing of a message is in a file in clear" eval '! grep -alE "SEP0000000A|SCCP42" "$WORK"/state/captures/*.p7m'

gateway_signal 1 TERM
wait $BRIDGE
check_json "the bridge has seen nothing bad, and has nothing left" "$WORK/g1.json" '.gateway[0] | .bad_messages == 0 and .verbs.CRCX > 10 and
	([.connections[] | select(.mode == "confrnce")] | length) > 10 and .verbs.DLCX >= .verbs.CRCX'
appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
sc_end
