#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Keys through a whole appliance: gateways with every suite, keys of running calls renewed by hand and by age while
# speech goes both ways (nothing lost, what was heard is what was played), phones' streams opened anew, and no key on a wire.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# Rows: 001:P1-103; 004b:MGCP-01, MGCP-05, R-40; 004c:MG-01, MG-04.
set -u
SC_NAME=rekey
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
CHECK_EDGE=100000

ns_up || die "network namespaces could not be made"
sc_phones $(seq 1 14)
for n in $(seq 1 10); do ip -n "$NS_GW" addr add "$(sc_gw_ip "$n")/24" dev gw0; done
sc_speech 6
SC_PHONE_S=400
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d' "$WORK/ravelin.yaml"
sed -i "s|^  main_lcore|  file_prefix: rvrek$$\n&|" "$WORK/ravelin.yaml"
sed -i '/^media:/a\  rekey_s: 3\n  suites: [AES_CM_128_HMAC_SHA1_80]' "$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"

step "devices and gateways"
for n in $(seq 1 14); do sc_device "$n" encrypted || die "device $n"; done
SUITES="1 AEAD_AES_256_GCM
2 AES_CM_128_HMAC_SHA1_80
3 AEAD_AES_128_GCM
4 AES_192_CM_HMAC_SHA1_80
5 AES_192_CM_HMAC_SHA1_32
6 AES_256_CM_HMAC_SHA1_80
7 AES_256_CM_HMAC_SHA1_32
8 AES_CM_128_HMAC_SHA1_32"
declare -A GW_OPTS
while read -r n suite; do
	ctl gateway add "gw$n.example" --address "$(sc_gw_ip "$n")" --region gateways --endpoint aaln/1 --suite "$suite" \
		--number "90$n*" >/dev/null || die "gateway $n"
	sc_sas "$n" aes-gcm-128 transport || die "SAs of gateway $n"
	GW_OPTS[$n]="${SA_OPTS[*]}"
done <<<"$SUITES"
# Keys with an MKI and a lifetime, as their records say: libsrtp2 at the far end, and GCM with the longest MKI of SDP.
ctl gateway add gw9.example --address "$(sc_gw_ip 9)" --region gateways --endpoint aaln/1 --suite AES_CM_128_HMAC_SHA1_80 --mki 4 \
	--lifetime 24 --number '909*' >/dev/null || die "gateway 9"
ctl gateway add gw10.example --address "$(sc_gw_ip 10)" --region gateways --endpoint aaln/1 --suite AEAD_AES_256_GCM --mki 8 \
	--lifetime 31 --number '9010*' >/dev/null || die "gateway 10"
for n in 9 10; do
	sc_sas "$n" aes-gcm-128 transport || die "SAs of gateway $n"
	GW_OPTS[$n]="${SA_OPTS[*]}"
done
check_ctl "a gateway's record says its suite" "gateway show gw1.example" '.suite == "AEAD_AES_256_GCM"'
check "a suite that is not done is refused" eval "! ctl gateway add x --address 10.77.2.30 --suite F8_128_HMAC_SHA1_80"
sc_capture "$NS_PHONE" phone0 "$WORK/phone0.pcap" || die tcpdump
CAP1=$SC_CAP
sc_capture "$NS_GW" gw0 "$WORK/gw0.pcap" || die tcpdump
CAP2=$SC_CAP

C='.call[0]'
G='.gateway[0]'
check_media() { # TEXT FILE PATH
	check_json "$1: media both ways, nothing lost, nothing forged" "$2" \
		"$3 | .sent.packets > 100 and .received.packets > 100 and .received.lost == 0 and .received.auth_failed == 0"
	check_json "$1: RTCP arrived and verified" "$2" "$3 | .rtcp.verified > 0 and .rtcp.bad == 0"
}

# same_estimate GATEWAY CALL: of the quality, whoever is asked (they are asked one after the other, and media goes on)
same_estimate() {
	ctl -j show legs | jq "[.[] | select(.call == $2 and .party == \"gw$1.example\")][0]" >"$WORK/leg$1.json"
	sc_tel "rvrek$$" "/ravelin/leg,$(jq .leg "$WORK/leg$1.json")" >"$WORK/tel$1.json" 2>>"$WORK/checks.log"
	[ "$(jq ".[\"/ravelin/leg\"] | .rx_r_tenths > 800 and (.rx_r_tenths - $(jq .rx_r "$WORK/leg$1.json") * 10 | fabs) < 20 and
		(.rx_mos_hundredths - $(jq .rx_mos "$WORK/leg$1.json") * 100 | fabs) < 10 and .rx_key_age_s < 60" "$WORK/tel$1.json")" = true ]
}
rekeyed() { [ "$(grep -c '"rekeyed"' "$WORK/g$1.events")" -ge "$2" ]; } # GATEWAY TIMES
# renewed TEXT PHONE GATEWAY SUITE TIMES OPTIONS: a call of 12 s or more; TIMES new keys by hand (others by age).
renewed() {
	local text=$1 a=$2 g=$3 suite=$4 times=$5 pg pp id done=0 least begun
	least=$((times > 0 ? times : 2))
	gateway "$g" ${GW_OPTS[$g]} --answer-after 0.3 --calls 1 --play "$WORK/b.wav" --loop --record "$WORK/g$g.wav" \
		--played "$WORK/g$g.ul" $6 &
	pg=$!
	wait_for 20 gateway_up "$g" || bad "$text: the gateway comes up"
	phone "$a" --dial "90${g}1#" --play "$WORK/a.wav" --loop --record "$WORK/p$a.wav" --played "$WORK/p$a.ul" &
	pp=$!
	wait_for 15 ctl_holds 'show calls' "any(.[]; .from == \"$((1000 + a))\" and .state == \"connected\")" || bad "$text: connected"
	begun=$(date +%s)
	id=$(ctl -j show calls | jq ".[] | select(.from == \"$((1000 + a))\").id")
	for _ in $(seq 1 150); do
		[ $done -lt "$times" ] || break
		# (busy: one by age is under way)
		ctl -j rekey "${id:-0}" >"$WORK/rekey$g" 2>&1 && [ "$(jq '[.[].done] == [true]' "$WORK/rekey$g")" = true ] && done=$((done + 1))
		sleep 0.6
	done
	[ "$times" = 0 ] || check "$text: renewed $times times" test $done = "$times"
	check_ctl "$text: no leg saw a forgery" "show legs" "[.[] | select(.call == ${id:-0})] | length == 2 and all(.[]; .auth_failed == 0)"
	if wait_for 20 same_estimate "$g" "${id:-0}"; then ok "$text: R and MOS in telemetry as in show legs"; else
		bad "$text: R and MOS in telemetry as in show legs" "$(jq -c . "$WORK/tel$g.json" "$WORK/leg$g.json" | tr '\n' ' ')"
	fi
	check "$text: new keys reach the gateway" wait_for 20 rekeyed "$g" $least
	while [ $(($(date +%s) - begun)) -lt 12 ]; do sleep 0.5; done
	phone_signal "$a" USR1
	wait $pp
	check "$text: the phone's end" test $? = 0
	wait $pg
	check "$text: the gateway's end" test $? = 0
	check_json "$text: the gateway took $least new keys or more" "$WORK/g$g.json" "$G.connections[0].rekeys >= $least"
	check_json "$text: suite $suite both ways" "$WORK/g$g.json" \
		"$G.connections[0].media | .sent.suite == \"$suite\" and .received.suite == \"$suite\""
	check_media "$text, gateway" "$WORK/g$g.json" "$G.connections[0].media"
	check_media "$text, phone" "$WORK/p$a.json" "$C.media"
	check_json "$text: the lock stays" "$WORK/p$a.json" "$C.security_sequence | .[-1] == 3"
	check_equal "$text: gateway heard the phone" "$WORK/p$a.ul" "$WORK/g$g.wav" 400
	check_equal "$text: phone heard the gateway" "$WORK/g$g.ul" "$WORK/p$a.wav" 300
	# each renewal brought a key for each direction, none of them twice
	check "$text: no key twice" test "$(jq -r 'select(.kind | test("srtp")) | .key + .salt' "$WORK/g$g.keys" | sort | uniq -d | wc -l)" = 0
	check "$text: $((2 * least + 2)) keys or more" test \
		"$(jq -r 'select(.kind | test("srtp")) | .key' "$WORK/g$g.keys" | sort -u | wc -l)" -ge $((2 * least + 2))
}
case_gcm() { renewed "AEAD_AES_256_GCM" 1 1 AEAD_AES_256_GCM 10 ""; }
case_mki() {
	renewed "MKI of 4, 2^24" 13 9 AES_CM_128_HMAC_SHA1_80 5 ""
	check_json "MKI of 4: so were the keys that the gateway was given" "$WORK/g9.json" "$G.connections[0] | .mki_len == 4 and .lifetime == 24"
}
case_mki_gcm() {
	renewed "MKI of 8, 2^31" 14 10 AEAD_AES_256_GCM 5 "--srtp openssl"
	check_json "MKI of 8: so were the keys that the gateway was given" "$WORK/g10.json" "$G.connections[0] | .mki_len == 8 and .lifetime == 31"
}
case_cm() { renewed "AES_CM_128, by age" 2 2 AES_CM_128_HMAC_SHA1_80 0 "--srtp openssl"; }

# A short call with each of the others.
suite_call() { # PHONE GATEWAY SUITE
	local a=$1 g=$2 suite=$3 pg
	gateway "$g" ${GW_OPTS[$g]} --answer-after 0.3 --calls 1 --play "$WORK/b.wav" --loop --record "$WORK/g$g.wav" --played "$WORK/g$g.ul" &
	pg=$!
	wait_for 20 gateway_up "$g" || bad "$suite: the gateway comes up"
	check "$suite: the call is made and ends" phone "$a" --dial "90${g}1#" --play "$WORK/a.wav" --record "$WORK/p$a.wav" \
		--played "$WORK/p$a.ul" --hangup
	wait $pg
	check_json "$suite: both ways" "$WORK/g$g.json" \
		"$G.connections[0].media | .sent.suite == \"$suite\" and .received.suite == \"$suite\""
	check_media "$suite, gateway" "$WORK/g$g.json" "$G.connections[0].media"
	check_media "$suite, phone" "$WORK/p$a.json" "$C.media"
	check_equal "$suite: gateway heard the phone" "$WORK/p$a.ul" "$WORK/g$g.wav"
}

# SCCP opens streams anew: a gap, then media under other keys.
case_phones() {
	local pa pb id
	phone 11 --answer=0.2 --play "$WORK/b.wav" --loop --record "$WORK/p11.wav" &
	pb=$!
	wait_for 15 registered 11 || bad "phones: callee registers"
	phone 10 --dial 1011 --play "$WORK/a.wav" --loop --record "$WORK/p10.wav" &
	pa=$!
	wait_for 15 ctl_holds 'show calls' 'any(.[]; .from == "1010" and .state == "connected")' || bad "phones: connected"
	id=$(ctl -j show calls | jq '.[] | select(.from == "1010").id')
	sleep 1
	check "phones: a gateway's keys cannot be renewed where there is none" eval "! ctl rekey ${id:-0}"
	check_ctl "phones: both renewed" "rekey ${id:-0} --party both" 'length == 2 and all(.[]; .done)'
	sleep 11
	phone_signal 10 USR1
	wait $pa
	wait $pb
	for p in 10 11; do
		check_json "phones: $p went on under the new keys" "$WORK/p$p.json" "$C | .connected and .media.received.packets > 300"
		check_json "phones: $p shows the lock still" "$WORK/p$p.json" "$C.security == 3"
	done
	check "phones: eight keys, none twice" test \
		"$(jq -r 'select(.kind | test("srtp")) | .key + .salt' "$WORK/p10.keys" "$WORK/p11.keys" | sort -u | wc -l)" = 8
}

together() {
	local c pids=
	for c in "$@"; do
		$c &
		pids="$pids $!"
	done
	wait $pids
}
step "keys of running calls"
together case_gcm case_cm case_phones
together case_mki case_mki_gcm
step "every suite"
together "suite_call 3 3 AEAD_AES_128_GCM" "suite_call 4 4 AES_192_CM_HMAC_SHA1_80" "suite_call 5 5 AES_192_CM_HMAC_SHA1_32"
together "suite_call 6 6 AES_256_CM_HMAC_SHA1_80" "suite_call 7 7 AES_256_CM_HMAC_SHA1_32" "suite_call 8 8 AES_CM_128_HMAC_SHA1_32"

kill $CAP1 $CAP2
wait $CAP1 $CAP2 2>/dev/null
step "the wires"
for g in 1 2 3 4 6 9 10; do
	check "gateway $g: none of its keys on the wire" python3 "$RAVELIN_TOP/scripts/wire.py" keys "$WORK/gw0.pcap" --keys "$WORK/g$g.keys"
done
sc_shark "gateways with new keys" "$WORK/gw0.pcap" 100 CRCX MDCX DLCX RQNT NTFY RSIP AUEP
check "MGCP with new keys: nothing but ESP to gateway 1" test \
	"$(tshark -r "$WORK/gw0.pcap" -Y "ip.addr == $(sc_gw_ip 1) && (udp.port == 2427 || udp.port == 2727)" 2>/dev/null | wc -l)" = 0
check "MGCP with new keys: ESP is there" test "$(tshark -r "$WORK/gw0.pcap" -Y "ip.addr == $(sc_gw_ip 1) && esp" 2>/dev/null | wc -l)" -gt 20

step "what is left"
soon_ctl "no call is left" 3 "show calls" 'length == 0'
check_ctl "no alarm of keys is left" "show alarms" 'all(.[]; .id | startswith("media-") | not)'
appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
check "every mbuf returned" grep -q 'event=stopped.*mbufs_leaked=0' "$WORK/dataplane.log"
sc_end
