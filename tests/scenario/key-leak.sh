#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# No media key leaves in clear: SAs are torn down at random while keyed MGCP transactions are under way, to gateways of six
# algorithms, transport and tunnel mode, protocol 50 and UDP, some of which may have commands without keys in clear; what was on every
# interface and on loopback of all three hosts is searched for every key in raw, hex and base64. One key is sent in clear on purpose: a
# search that does not find it finds nothing. Then calls through a whole appliance: without its SA a gateway's call is
# refused, or runs in RTP where that is allowed, with an alarm.
# 2,000 transactions; RAVELIN_FULL=1: 100,000. SEED=N: another order of things.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# May run beside another.
# Rows: 001:P1-026, P1-103, P1-106, R-16; 004b:MGCP-06; 004c:MG-05, MG-06, MG-11.
set -u
SC_NAME=leak
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

n=2000
[ "${RAVELIN_FULL:-0}" = 0 ] || n=100000
keyscan=$BUILD/tests/xval/keyscan
leak=$RAVELIN_TOP/tests/scenario/key_leak.py
[ -x "$keyscan" ] || die "$keyscan is not there: build first"
ns_up || die "network namespaces could not be made"
sc_phones 1 2 3
for g in $(seq 1 8) 20; do ip -n "$NS_GW" addr add "$(sc_gw_ip "$g")/24" dev gw0; done
appliance_config || die "configuration"

step "SAs that go while keys are on their way: $n transactions"
CAPS=()
for at in "$NS_PHONE" "$NS_APP" "$NS_GW"; do
	ip netns exec "$at" tcpdump -i any -U -s 0 -B 65536 -w "$WORK/any-$at.pcap" >"$WORK/any-$at.log" 2>&1 &
	CAPS+=($!)
done
sc_capture "$NS_GW" gw0 "$WORK/gw0.pcap" || die tcpdump
CAPS+=("$SC_CAP")
for at in "$NS_PHONE" "$NS_APP" "$NS_GW"; do wait_for 5 test -s "$WORK/any-$at.pcap" || die "tcpdump in $at"; done
python3 "$leak" prepare "$WORK" || die "SAs"
daemon dataplane
wait_for 30 grep -q event=ready "$WORK/dataplane.log" || die "the dataplane did not start"
eps=()
for e in $(seq 1 8); do eps+=(--endpoint "aaln/$e"); done
in_gw "$SIM/ravelin-gwsim" --listen "$(sc_gw_ip 1)" --agent 10.77.2.2:2727 --name gw%d.example --farm 6 "${eps[@]}" \
	--sa-file "$WORK/sas.txt" --report "$WORK/farm.json" --dump-keys "$WORK/farm.keys" >"$WORK/farm.log" 2>&1 </dev/null &
farm=$!
in_gw "$SIM/ravelin-gwsim" --listen "$(sc_gw_ip 20)" --agent 10.77.2.2:2727 --name gw20.example "${eps[@]}" \
	--report "$WORK/clear.json" --dump-keys "$WORK/clear.keys" >"$WORK/clear.log" 2>&1 </dev/null &
clear=$!
timeout $((400 + n / 20)) python3 "$leak" run "$WORK" "$WORK/run/dataplane.sock" "$n" "${SEED:-7}" >"$WORK/storm.json" 2>"$WORK/storm.log" ||
	bad "the storm runs" "$(tail -2 "$WORK/storm.log" | tr '\n' ' ')"
jq -c . "$WORK/storm.json"
check_json "$n keyed transactions, each with one result" "$WORK/storm.json" \
	".transactions >= $n and .left == 0 and .transactions == .answered + .no_sa + (.timeout // 0) + (.other // 0)"
check_json "keys were delivered, and answers brought keys" "$WORK/storm.json" ".answered > $n / 3 and .answers_keyed > $n / 3"
check_json "SAs went under transactions" "$WORK/storm.json" ".torn_out > 20 and .torn_in > 10 and .under_way > $n / 20"
check_json "some failed closed: no-sa" "$WORK/storm.json" ".no_sa > 10"
check_json "the control's key was delivered in clear" "$WORK/storm.json" ".control == 1"
sleep 1
kill -TERM $farm $clear 2>/dev/null
wait $farm $clear 2>/dev/null
kill -TERM "$(daemon_pid dataplane)"
wait "$(daemon_pid dataplane)"
check "the dataplane stops cleanly" test $? = 0
kill "${CAPS[@]}"
wait "${CAPS[@]}" 2>/dev/null

step "the wires"
# What the gateways decrypted: the keys of every transaction that they executed, and their own.
jq -r 'select(.kind | test("srtp")) | .key + .salt, .key' "$WORK/farm.keys" | sort -u >"$WORK/farm.hex"
sort -u "$WORK/keys.hex" "$WORK/farm.hex" >"$WORK/all.hex"
grep -h -o '"key": "[0-9a-f]*"' "$WORK/sas.json" | cut -d'"' -f4 >>"$WORK/all.hex"
check "the keys that gateways decrypted are keys that were sent" test "$(sort -u "$WORK/keys.hex" | comm -12 - "$WORK/farm.hex" | wc -l)" -gt $((n / 3))
check "nothing was lost by the captures" eval "! grep -h 'dropped by kernel' '$WORK'/*.pcap.log '$WORK'/any-*.log | grep -v '^0 packets'"
found=$("$keyscan" "$WORK/all.hex" "$WORK"/any-*.pcap "$WORK/gw0.pcap")
rc=$?
tail -1 <<<"$found"
[ $rc = 0 ] && ok "no key on any wire, in raw, hex or base64" || bad "no key on any wire" "$(head -3 <<<"$found" | tr '\n' ' ')"
found=$("$keyscan" "$WORK/control.hex" "$WORK"/any-*.pcap)
[ $? = 1 ] && [ "$(tail -1 <<<"$found" | jq '.hits > 0')" = true ] && ok "control: a key that left in clear is found ($(tail -1 <<<"$found" | jq .hits) times)" ||
	bad "control: a key that left in clear is found" "$found"
check "control: and by a look of another kind" grep -a -q 'a=crypto' "$WORK/gw0.pcap"

uat=()
while IFS= read -r line; do uat+=(-o "$line"); done <"$WORK/uat"
shark() { tshark -r "$WORK/gw0.pcap" -o esp.enable_encryption_decode:TRUE -o esp.enable_authentication_check:TRUE "${uat[@]}" "$@" 2>>"$WORK/checks.log"; }
shark -T fields -E separator=, -e _ws.malformed -e mgcp -e esp.spi -e esp.icv_good -e mgcp.req.verb -e _ws.expert.severity >"$WORK/frames"
esp=$(awk -F, '$3 != ""' "$WORK/frames" | wc -l) mgcp=$(awk -F, '$2 != ""' "$WORK/frames" | wc -l)
inside=$(awk -F, '$2 != "" && $3 != ""' "$WORK/frames" | wc -l) malformed=$(awk -F, '$1 != ""' "$WORK/frames" | wc -l)
least=$(jq '.answered * 2' "$WORK/storm.json") # each a command and its answer
check "tshark: $esp ESP packets, $mgcp of MGCP, $inside of it in ESP" test "$inside" -ge "$least" -a "$mgcp" -gt "$inside"
check "tshark: $malformed malformed" test "$malformed" = 0
check "tshark: every ESP packet decrypts to MGCP" test "$((esp - inside))" = 0

step "calls through a whole appliance"
sed -i '/^ipsec:/,$d' "$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"
for p in 1 2; do sc_device $p encrypted || die "device $p"; done
ctl gateway add gw7.example --address "$(sc_gw_ip 7)" --region gateways --endpoint aaln/1 --number '907*' >/dev/null || die "gateway 7"
ctl gateway add gw8.example --address "$(sc_gw_ip 8)" --region gateways --endpoint aaln/1 --number '908*' --clear >/dev/null || die "gateway 8"
for at in "$NS_PHONE" "$NS_GW"; do
	ip netns exec "$at" tcpdump -i any -U -s 0 -B 16384 -w "$WORK/call-$at.pcap" >"$WORK/call-$at.log" 2>&1 &
	CAPS=("$!" "${CAPS[@]:0:1}")
	wait_for 5 test -s "$WORK/call-$at.pcap"
done
sc_speech 2
call_gw() { phone "$1" --dial "$2#" --play "$WORK/a.wav" --hangup; }
for g in 7 8; do
	sc_sas $g aes-gcm-128 transport || die "SAs of gateway $g"
	SC_GW_S=900 gateway $g "${SA_OPTS[@]}" --answer-after 0.1 --play "$WORK/b.wav" --early-media &
	eval "gw_$g=$!"
done
wait_for 20 gateway_up 7 || bad "gateway 7 comes up"
wait_for 20 gateway_up 8 || bad "gateway 8 comes up"
check "with its SAs: a call" call_gw 1 9075551
check_json "with its SAs: SRTP both ways, with a lock" "$WORK/p1.json" '.call[0] | .security == 3 and .media.sent.suite != "none" and .media.received.suite != "none"'
ctl sa del gw7-out >/dev/null
ctl sa del gw8-out >/dev/null
soon_ctl "the SA goes: critical alarm gateway-no-sa" 5 "show alarms" \
	'any(.[]; .id == "gateway-no-sa" and .subject == "gw7.example" and .severity == "critical")'
check "the SA is gone: the call fails" eval "! call_gw 2 9075552"
check_json "the SA is gone: congestion, not connected" "$WORK/p2.json" '.call[0].states | index(7) != null and index(5) == null'
check_ctl "the SA is gone: the gateway is shown as no-sa" "show gateways" '.[] | select(.name == "gw7.example") | .state == "no-sa" and .sa == false'
for g in 7 8; do
	gateway_signal $g TERM
	eval "wait \$gw_$g"
done
gateway 8 --answer-after 0.1 --play "$WORK/b.wav" --early-media & # it has no SA any more either
gw_8=$!
wait_for 30 gateway_up 8 || bad "gateway 8 comes up in clear"
phone 1 --dial 9085553# --play "$WORK/a.wav" --hangup
check_json "where that is allowed: the call runs in RTP, without a lock" "$WORK/p1.json" \
	'.call[0] | .connected and .security < 3 and .media.sent.suite == "none" and .media.received.suite == "none"'
gateway_signal 8 TERM
wait $gw_8
kill "${CAPS[@]}" 2>/dev/null
sleep 0.5
jq -r 'select(.kind | test("srtp")) | .key + .salt, .key' "$WORK"/p[12].keys "$WORK"/g[78].keys | sort -u >"$WORK/calls.hex"
check "calls: there are keys to look for" test "$(wc -l <"$WORK/calls.hex")" -ge 4
found=$("$keyscan" "$WORK/calls.hex" "$WORK"/call-*.pcap)
[ $? = 0 ] && ok "calls: no key on a wire" || bad "calls: no key on a wire" "$(head -3 <<<"$found" | tr '\n' ' ')"
appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
sc_end
