#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The dataplane is killed with SIGKILL under load and started again, 10 times (100 with RAVELIN_FULL=1): SRTP calls
# between parties on libsrtp2 go on by themselves, no index is used twice under one key, nothing that was
# captured before passes again, and media is back as soon as the dataplane is. As root; RAVELIN_BUILD: build directory. Exit 0 or 1.
set -u
SC_NAME=dp-kill
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
KILLS=10
[ "${RAVELIN_FULL:-0}" = 0 ] || KILLS=100
CALLS=40

ns_up || die "network namespaces could not be made"
appliance_config || die "configuration"
appliance_start || die "the appliance did not come up"

step "$CALLS calls, $((CALLS * 50)) packets a second"
for i in $(seq $CALLS); do
	suite_a=$((i % 2 ? 80 : 32)) suite_b=$((i % 3 ? 80 : 32))
	key_a=$(rand_hex 30) key_b=$(rand_hex 30)
	pa=$((40000 + 2 * i)) pb=$((42000 + 2 * i))
	b64() { xxd -r -p <<<"$1" | base64 -w0; }
	out=$(ctl -j session add \
		--leg-a "remote=10.77.1.10:$pa,region=phones,suite=AES_CM_128_HMAC_SHA1_$suite_a,rx-key=$(b64 "$key_a"),tx-key=$(b64 "$(rand_hex 30)")" \
		--leg-b "remote=10.77.2.10:$pb,region=gateways,suite=AES_CM_128_HMAC_SHA1_$suite_b,rx-key=$(b64 "$(rand_hex 30)"),tx-key=$(b64 "$key_b")") ||
		die "session add was refused: $out"
	local_a=$(jq -r .leg_a.local <<<"$out")
	echo "10.77.1.10 $pa ${local_a%:*} ${local_a##*:} $suite_a $key_a 10.77.2.10 $pb $suite_b $key_b"
done >"$WORK/calls" || exit 1
[ "$(wc -l <"$WORK/calls")" = $CALLS ] || die "the calls were not made"
"$BUILD/tests/xval/srtpload" "$NS_PHONE" "$NS_GW" "$WORK/calls" $((CALLS * 50)) >"$WORK/load.json" 2>"$WORK/load.log" &
LOAD=$!
sleep 3

step "$KILLS times"
kill9() {
	local pid
	pid=$(daemon_pid "$1")
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
}
WORST=0
for i in $(seq $KILLS); do
	kill -USR1 $LOAD || die "the load is gone: $(cat "$WORK/load.log")"
	kill9 dataplane
	kill -USR2 $LOAD
	t=$(date +%s.%N)
	daemon dataplane
	wait_for 15 dataplane_up || die "the dataplane did not come back"
	t=$(jq -n "$(date +%s.%N) - $t")
	WORST=$(jq -n "[$WORST, $t] | max")
	sleep "$(jq -n "2 + $t + 0.$((i % 10))")" # longer than it was away: most of the time there is media
done
kill -TERM $LOAD
wait $LOAD || die "the load failed: $(cat "$WORK/load.log")"

J=$WORK/load.json
# (the dataplane and srtpload share a machine that may be slow: its measure is how long it needs to start the one)
check_json "media came back after each kill ($(jq '[.outages[].back_s] | max' "$J") s at worst, $WORST s until a started dataplane answers)" "$J" \
	".outages | length == $KILLS and all(.[]; .back_s > 0 and .back_s < 2 + 3 * $WORST)"
check_json "most packets were heard ($(jq .heard "$J") of $(jq .sent "$J"))" "$J" '.heard > 0.3 * .sent'
check_json "no index was used twice under one key" "$J" '.index_twice == 0'
check_json "none of $(jq .resent "$J") packets thrown in again was relayed" "$J" ".replayed == 0 and .resent > $KILLS * 400"
check_json "nothing was changed or failed authentication" "$J" '.changed == 0 and .forged == 0'
check_ctl "the copies were refused as such" "show legs" '[.[].replayed] | add > 100'
sc_end
