#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Shards are moved between two workers, 50 times (1,000 with RAVELIN_FULL=1), while SRTP calls between parties on libsrtp2
# go through every one of them: nothing is lost, overtaken, changed or comes twice. Then what is remembered: the moves are
# done again when the dataplane was killed, and known to a controlplane that was. As root; RAVELIN_BUILD: build
# directory. Exit 0 or 1.
set -u
SC_NAME=shard-move
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
MOVES=50
[ "${RAVELIN_FULL:-0}" = 0 ] || MOVES=1000
CALLS=64 # one in each shard
PPS=1600
WORKER_LCORES="1, 2"

ns_up || die "network namespaces could not be made"
appliance_config || die "configuration"
appliance_start || die "the appliance did not come up"

b64() { xxd -r -p <<<"$1" | base64 -w0; }
# calls FROM TO: one line of srtpload's each.
calls() {
	local i key_a key_b out local_a
	for i in $(seq "$1" "$2"); do
		key_a=$(rand_hex 30) key_b=$(rand_hex 30)
		out=$(ctl -j session add \
			--leg-a "remote=10.77.1.10:$((40000 + 2 * i)),region=phones,suite=AES_CM_128_HMAC_SHA1_80,rx-key=$(b64 "$key_a"),tx-key=$(b64 "$(rand_hex 30)")" \
			--leg-b "remote=10.77.2.10:$((42000 + 2 * i)),region=gateways,suite=AES_CM_128_HMAC_SHA1_80,rx-key=$(b64 "$(rand_hex 30)"),tx-key=$(b64 "$key_b")") ||
			return 1
		local_a=$(jq -r .leg_a.local <<<"$out")
		echo "10.77.1.10 $((40000 + 2 * i)) ${local_a%:*} ${local_a##*:} 80 $key_a 10.77.2.10 $((42000 + 2 * i)) 80 $key_b"
	done
}
load_start() { # FILE NAME
	"$BUILD/tests/xval/srtpload" "$NS_PHONE" "$NS_GW" "$1" $PPS >"$WORK/$2.json" 2>"$WORK/$2.log" &
	LOAD=$!
}
load_stop() {
	kill -TERM $LOAD
	wait $LOAD || die "the load failed: $(cat "$WORK"/load*.log)"
}
drops() { ctl -j show counters | jq -c '[.workers[].drops | to_entries[] | select(.key != "consumed" and .key != "l2_not_ours")] | group_by(.key) | map({(.[0].key): map(.value) | add}) | add // {}'; }
map() { ctl -j show shards | jq -c 'map(.worker)'; }

step "$CALLS calls, $PPS packets a second, $MOVES moves"
calls 1 $CALLS >"$WORK/calls" || die "session add was refused"
check "each shard has a call" test "$(awk '{print int(($4 - 16384) / 256)}' "$WORK/calls" | sort -un | wc -l)" = 64
load_start "$WORK/calls" load
sleep 2
before=$(map)
: >"$WORK/moves"
for i in $(seq $MOVES); do
	kill -0 $LOAD 2>/dev/null || die "the load is gone: $(cat "$WORK/load.log")"
	shard=$((RANDOM % 64))
	to=$((1 - $(jq ".[$shard]" <<<"$before")))
	ctl -j move shard $shard --worker $to >>"$WORK/moves" || die "move $i was refused"
	before=$(jq -c ".[$shard] = $to" <<<"$before")
	[ "$(map)" = "$before" ] || break
done
sleep 1
load_stop
J=$WORK/load.json
check "the map was what the moves said, after each" test "$(map)" = "$before"
jq -s -c '.' "$WORK/moves" >"$WORK/moves.json"
check_json "$MOVES moves, each told ($(jq 'map(.took_us) | max' "$WORK/moves.json") us at most, $(jq 'map(.held) | add' "$WORK/moves.json") packets waited)" \
	"$WORK/moves.json" "length == $MOVES and all(.[]; .took_us > 0 and .from + .worker == 1)"
check_json "nothing was lost ($(jq .heard "$J") of $(jq .sent "$J") heard; dropped: $(drops))" "$J" ".heard == .sent and .sent > 2 * $PPS"
check_json "nothing came twice or under an index that was used" "$J" '.replayed == 0 and .index_twice == 0'
check_json "nothing was overtaken within its call" "$J" '.reordered == 0'
check_json "nothing was changed or failed authentication" "$J" '.changed == 0 and .forged == 0'
check_ctl "both workers worked" "show workers" 'length == 2 and all(.[]; .tx_pkts > 500)'
check_ctl "packets went over the handoff rings" "show workers" 'map(.handoff_in) | add > 100'
check_ctl "each shard is shown once" "show shards" 'length == 64 and (map(.shard) | unique | length) == 64'

step "what cannot be"
check "no such worker" eval '! ctl move shard 1 --worker 2'
check "no such shard" eval '! ctl move shard 64 --worker 0'
check "nothing of that moved" test "$(map)" = "$before"

step "the dataplane is killed"
kill -9 "$(daemon_pid dataplane)"
wait "$(daemon_pid dataplane)" 2>/dev/null
daemon dataplane
wait_for 15 dataplane_up || die "the dataplane did not come back"
same_map() { [ "$(map)" = "$before" ]; }
check "its shards are where they were" wait_for 10 same_map
moved=$(jq -c '[to_entries[] | select(.value != .key % 2)] | length' <<<"$before")
check_ctl "$moved are shown as moved" "show shards" "map(select(.moved)) | length == $moved"

step "the controlplane is killed"
calls $((CALLS + 1)) $((CALLS + 32)) >"$WORK/calls2" || die "session add was refused"
load_start "$WORK/calls2" load2
sleep 1
kill -9 "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)" 2>/dev/null
daemon controlplane
wait_for 60 dataplane_up || die "the controlplane did not come back"
check "the shards are where they were" wait_for 5 same_map
check_ctl "it knows what was moved" "show shards" "map(select(.moved)) | length == $moved"
ctl move shard 5 --worker $((1 - $(jq '.[5]' <<<"$before"))) >/dev/null || die "no move after that"
before=$(jq -c ".[5] = 1 - .[5]" <<<"$before")
check "it moves on" test "$(map)" = "$before"
sleep 1
load_stop
check_json "nothing was lost meanwhile ($(jq .heard "$WORK/load2.json") of $(jq .sent "$WORK/load2.json"))" "$WORK/load2.json" \
	'.heard == .sent and .sent > 1000 and .reordered == 0 and .index_twice == 0 and .replayed == 0'
check "all ends cleanly" appliance_stop
sc_end
