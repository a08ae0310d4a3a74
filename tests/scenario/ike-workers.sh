#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# IKE's SAs over two workers: four gateways, two on each, packets both ways in all tunnels at once; keys renewed by either end meanwhile, a shard
# moved to the other worker, nothing lost; what the workers counted is what the SAs did. The far end is an unmodified strongSwan with
# kernel-libipsec. RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# Rows: 001:P1-013; 004a:GW-01.
set -u
SC_NAME=ikwork
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
. "$RAVELIN_TOP/scripts/ike.sh"
WORKER_LCORES="1, 2"

AGENT=10.77.2.2
ns_up || die "network namespaces could not be made"
for n in 1 2 3 4; do ip -n "$NS_GW" addr add "$(sc_gw_ip $n)/24" dev gw0; done
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d; s|^      addresses: \[10.77.2.2/24.*|&\n      punt: ikep|' "$WORK/ravelin.yaml"
printf 'ike: {enable: true, source: socket, vici: %s/ours/vici}\n' "$WORK" >>"$WORK/ravelin.yaml"
printf 'correct horse\n' >"$WORK/psk"
chmod 600 "$WORK/psk"
appliance_start || die "the appliance did not come up"
ike_punt ikep $AGENT || die "punt interface"
wait_for 10 test -S "$WORK/run/xfrm.sock" || die "no xfrm.sock"
mkdir "$WORK/peer"
for n in 1 2 3 4; do
	cat <<-CONN
		connections { gw$n {
			version = 2
			mobike = no
			local_addrs = $(sc_gw_ip $n)
			remote_addrs = $AGENT
			local { auth = psk
			}
			remote { auth = psk
				id = $AGENT
			}
			children { gw$n {
				local_ts = $(sc_gw_ip $n)/32[udp/2427]
				remote_ts = $AGENT/32[udp/2727]
				esp_proposals = aes128gcm16
			} }
		} }
		secrets { ike-gw$n { id = $(sc_gw_ip $n)
			secret = "correct horse"
		} }
	CONN
done >"$WORK/peer/swanctl.conf"
ike_charon peer "$NS_GW" libipsec || die "the gateways' charon did not start"
swan peer --load-all --file "$WORK/peer/swanctl.conf" >"$WORK/peer-load.log" 2>&1 || die "swanctl --load-all: $(tail -n 3 "$WORK/peer-load.log")"
ike_charon ours "$NS_APP" kernel LD_PRELOAD="$BUILD/controlplane/ike/libravelin-xfrm.so" RAVELIN_XFRM="$WORK/run/xfrm.sock" || die "our charon did not start"
for n in 1 2 3 4; do
	ctl gateway add gw$n --address "$(sc_gw_ip $n)" --endpoint aaln/1 --ike 2 --ike-psk-file "$WORK/psk" --ike-mode tunnel --ike-esp aes-gcm-128 >/dev/null || die "gateway $n"
done
soon_ctl "IKE is up with four gateways" 60 "show ike" '[.[] | select(.state == "up")] | length == 4'
soon_ctl "eight SAs" 20 "show sas" '[.[] | select(.state == "live")] | length == 8'

hex() { printf '%d' "$(ctl -j show sas | jq -r "[.[] | select(.gateway == \"$1\" and .direction == \"in\" and .state == \"live\").spi] | last")"; }
shard() { echo $(($(hex "$1") & 63)); } # an inbound SPI says it
worker() { ctl -j show shards | jq ".[] | select(.shard == $(shard "$1")).worker"; }
for n in 1 2 3 4; do SHARD[n]=$(shard gw$n) WORKER[n]=$(worker gw$n); done
check "two gateways are on each worker: ${WORKER[*]}" test "$(printf '%s\n' "${WORKER[@]}" | sort | uniq -c | awk '{print $1 ":" $2}' | xargs)" = "2:0 2:1"
load() { # NAME SECONDS: keep-alives from all, until $WORK/enough is there or the time is over
	local n
	rm -f "$WORK/enough"
	PIDS=()
	for n in 1 2 3 4; do
		in_gw timeout 400 python3 "$RAVELIN_TOP/tests/scenario/ike_keepalive.py" "$(sc_gw_ip $n)" $AGENT:2727 gw$n 100 "$2" "$WORK/enough" >"$WORK/$1$n.json" &
		PIDS+=("$!")
	done
}
lossless() { # TEXT NAME
	local n
	wait "${PIDS[@]}"
	for n in 1 2 3 4; do check_json "$1: gateway $n: $(jq -c . "$WORK/$2$n.json")" "$WORK/$2$n.json" '.sent > 100 and .lost == 0 and .refused == 0'; done
}

step "packets in all tunnels at once"
load a 3
lossless "three seconds" a
ctl -j show sas >"$WORK/sas.json"
# Two lists, made one after the other: until no packet was between them.
joined() {
	ctl -j show sas >"$WORK/sas.json" && ctl -j show counters >"$WORK/counters.json" || return 1
	jq -e -n --slurpfile s "$WORK/sas.json" --slurpfile c "$WORK/counters.json" --argjson of "{\"gw1\":${WORKER[1]},\"gw2\":${WORKER[2]},\"gw3\":${WORKER[3]},\"gw4\":${WORKER[4]}}" \
		'[0, 1] | all(.[]; . as $w | ["in", "out"] | all(.[]; . as $d |
			([$s[0][] | select($of[.gateway] == $w and .direction == $d).packets] | add) as $n | $n > 200 and $c[0].workers[$w]["esp_" + $d] == $n))'
}
check "each worker counted what its gateways' SAs did, no more and no less: $(jq -c '[.[] | [.gateway, .direction, .packets]]' "$WORK/sas.json")" wait_for 20 joined

step "keys are renewed by either end, and shards move, under load"
load b 300
sleep 1
for i in 1 2 3 4 5 6 7 8; do
	n=$((i % 4 + 1))
	was=$(hex gw$n)
	swan "$([ $((i / 4 % 2)) = 0 ] && echo ours || echo peer)" --rekey --child gw$n >/dev/null 2>&1
	renewed() { [ "$(hex gw$n)" != "$was" ]; }
	check "renewal $i, of gateway $n" wait_for 30 renewed
	check "it is in its shard" test "$(shard gw$n)" = "${SHARD[n]}"
	if [ $((i % 2)) = 0 ]; then
		to=$((1 - $(worker gw$n)))
		check "that shard goes to worker $to" ctl move shard "${SHARD[n]}" --worker $to
		check "and is there" test "$(worker gw$n)" = $to
	fi
done
sleep 1
touch "$WORK/enough"
lossless "eight renewals, four moves" b
soon_ctl "one pair of SAs each is left" 30 "show sas" 'length == 8 and all(.[]; .state == "live" and .auth_failed == 0 and .replayed == 0)'
check_ctl "both workers worked" "show workers" 'length == 2 and all(.[]; .tx_pkts > 200)'
check_ctl "what came in at the other one was handed over" "show workers" 'map(.handoff_in) | add > 100'
ike_stop ours TERM
ike_stop peer TERM
check "the appliance stops cleanly" appliance_stop
sc_end
