#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A call is up and speech flows while hostile.py works on every door: SCCP in clear and in TLS, 2,000 malformed messages with a
# probe behind each (RAVELIN_FULL: 10,000), broken TLS, RTP and RTCP garbage and replays, ESP and MGCP, malformed frames, local
# sockets. Counters and rate-limited log lines must tell; nothing else may change: no packet lost, audio equal, same calls, registrations, SAs, same processes, memory bounded.
# As root. RAVELIN_BUILD: build directory (default: build/ of this repository). Exit 0 or 1.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
NS=rvho$$
. "$here/../../scripts/lib.sh"
. "$here/../../scripts/netns.sh"
BUILD=$(realpath "${RAVELIN_BUILD:-$here/../../build}")
. "$here/../../scripts/appliance.sh"
need_root
WORK=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-hostile.XXXXXX")
chmod 700 "$WORK"
PASSED=0 FAILED=0
cleanup() {
	trap - EXIT INT TERM
	ns_down
	[ $FAILED = 0 ] && rm -rf "$WORK" || say "logs are in $WORK"
}
trap cleanup EXIT
trap 'FAILED=1; exit 1' INT TERM
check() { # TEXT COMMAND...
	local text=$1
	shift
	if "$@" >>"$WORK/checks.out" 2>&1; then
		PASSED=$((PASSED + 1))
		say "  ok    $text"
	else
		FAILED=$((FAILED + 1))
		say "  FAIL  $text"
	fi
}
bail() {
	FAILED=$((FAILED + 1))
	tail -n 5 "$WORK"/*.log >&2
	die "$*"
}
# Freed memory that ASan keeps back would look like growth.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=8
HANDSHAKE=5

step "appliance, phone, gateway, call"
ns_up || bail "network namespaces"
appliance_config
# Rings that hold seconds of packets: what a busy test machine does to a poll loop is not what is looked at here.
sed -i "s|^sccp:|sccp:\n  handshake_s: $HANDSHAKE|; s|^  mbufs: .*|  mbufs: 16384\n  ring_desc: 4096|" "$WORK/ravelin.yaml"
appliance_start || bail "the appliance did not come up"
PHONE=SEP0A1B2C3D4E61 BAD=SEP0A1B2C3D4E62
ctl device add $PHONE --mode encrypted --line 1001 --region phones >/dev/null &&
	ctl device add $BAD --mode encrypted --line 1002 --region phones >/dev/null &&
	ctl gateway add gw1.example --address 10.77.2.10 --region gateways --endpoint aaln/S1/SU0/0 --number '9*' >/dev/null &&
	ctl cert issue $PHONE --out "$WORK" >/dev/null && ctl cert issue $BAD --out "$WORK" >/dev/null || bail "provisioning"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$WORK/k.pem" -out "$WORK/c.pem" -subj "/CN=$PHONE" \
	-days 2 2>/dev/null && cat "$WORK/k.pem" "$WORK/c.pem" >"$WORK/stranger.pem" || bail "openssl req"
# Noise, 150 s of it each way: more than the work below takes
for s in a b; do
	head -c 1200000 /dev/urandom | sox -t ul -r 8000 -c 1 - -e mu-law -b 8 "$WORK/$s.wav" 2>/dev/null || bail "sox"
done
capture() { # NAMESPACE INTERFACE
	ip netns exec "$1" tcpdump -i "$2" -U -s 0 -B 8192 -w "$WORK/$2.pcap" >"$WORK/$2.tcpdump" 2>&1 &
	eval "CAP_$2=$!"
}
capture "$NS_PHONE" phone0
capture "$NS_GW" gw0
wait_for 5 test -s "$WORK/gw0.pcap" || bail "tcpdump"
SPEC=alg=aes-gcm-128,mode=transport
ip netns exec "$NS_GW" "$BUILD/bench/sim/ravelin-gwsim" --listen 10.77.2.10 --agent 10.77.2.2:2727 --name gw1.example \
	--endpoint aaln/S1/SU0/0 --sa-out "spi=0x1001,key=$SA_IN_KEY,$SPEC" --sa-in "spi=0x2001,key=$SA_OUT_KEY,$SPEC" \
	--answer-after 0.2 --play "$WORK/b.wav" --record "$WORK/gw-rec.wav" --played "$WORK/gw-played.ul" --calls 1 \
	--report "$WORK/gw.json" >"$WORK/gwsim.log" 2>&1 &
GW_PID=$!
gateway_up() { ctl_holds 'show gateways' '.[0] | .state == "up" and .sa'; }
wait_for 20 gateway_up || bail "the gateway did not come up"
ip netns exec "$NS_PHONE" "$BUILD/bench/sim/ravelin-phonesim" --server 10.77.1.1 --tls --cert "$WORK/$PHONE.pem" \
	--ca "$WORK/ca.pem" --name $PHONE --dial '95551234#' --play "$WORK/a.wav" --record "$WORK/phone-rec.wav" \
	--played "$WORK/phone-played.ul" --media-ip 10.77.1.10 --retry 0 --report "$WORK/phone.json" >"$WORK/phonesim.log" 2>&1 &
PHONE_PID=$!
connected() { ctl_holds 'show calls' '.[0].state == "connected"'; }
wait_for 20 connected || bail "the call was not connected"
sleep 4
# The hostile party needs what it saw, not what is written while it works
cp "$WORK/phone0.pcap" "$WORK/seen-phone.pcap"
cp "$WORK/gw0.pcap" "$WORK/seen-gw.pcap"
kill "$CAP_phone0" "$CAP_gw0" 2>/dev/null

state() {
	ctl -j show calls | jq -S '[.[] | {id, state, security, a, b}]' &&
		ctl -j show registrations | jq -S '[.[] | {name: (.name // .device)}] | sort' &&
		ctl -j show sas | jq -S '[.[] | {name, spi, state}]' && ctl -j show gateways | jq -S '[.[] | {name, state, sa}]' &&
		ctl -j show devices | jq -S '[.[].name] | sort'
}
rss() { awk '/VmRSS/ {print $2}' "/proc/$(daemon_pid "$1")/status"; }
ctl -j show counters >"$WORK/before.json"
state >"$WORK/state.before" || bail "state"
CALLREF=$(jq -rs '.[0][0].id' "$WORK/state.before")
for d in signer controlplane dataplane; do eval "RSS_$d=$(rss $d) PID_$d=$(daemon_pid $d)"; done
say "call $CALLREF is up"

step "attacks"
h() { # NAME NAMESPACE ARGS...
	local name=$1 ns=$2
	shift 2
	check "$name: nothing was taken that must be refused" \
		eval "ip netns exec $ns /usr/bin/python3 $here/hostile.py $* >$WORK/$name.json 2>$WORK/$name.err || { cat $WORK/$name.json $WORK/$name.err; false; }"
	say "        $(jq -r '.sent | to_entries | map("\(.value) \(.key)") | join(", ")' "$WORK/$name.json" 2>/dev/null)"
}
T0=$(date +%s)
h tls "$NS_PHONE" tls 10.77.1.1 2000 2443 --stranger "$WORK/stranger.pem" --victim $PHONE --handshake $HANDSHAKE
h sccp "$NS_PHONE" sccp 10.77.1.1 2000 --victim $PHONE
h sccp-tls "$NS_PHONE" sccp 10.77.1.1 2443 --cert "$WORK/$BAD.pem" --name $BAD --victim $PHONE --callref "$CALLREF" 0 1
MESSAGES=$([ "${RAVELIN_FULL:-0}" = 1 ] && echo 10000 || echo 2000)
check "$MESSAGES malformed SCCP messages: a probe was answered behind each" eval "ip netns exec $NS_PHONE timeout 900 /usr/bin/python3 \
	$here/sccp_malformed.py --host 10.77.1.1 --cert $WORK/$BAD.pem --name $BAD --count $MESSAGES >$WORK/malformed.json 2>$WORK/malformed.err ||
	{ cat $WORK/malformed.json $WORK/malformed.err; false; }"
say "        $(jq -r '.sent | to_entries | map("\(.value) \(.key)") | join(", ")' "$WORK/malformed.json" 2>/dev/null)"
h replay "$NS_PHONE" media phone0 "$WORK/seen-phone.pcap" 10.77.1.2 --part replay
h media "$NS_PHONE" media phone0 "$WORK/seen-phone.pcap" 10.77.1.2 --part garbage
h esp "$NS_GW" esp gw0 "$WORK/seen-gw.pcap" 10.77.2.2
h frames "$NS_PHONE" frames phone0 "$WORK/seen-phone.pcap" 10.77.1.2 2001:db8:1::2 --source 10.77.1.10
h unix "$NS_APP" unix "$WORK/run/dataplane.sock" "$WORK/run/admin.sock"
TOOK=$(($(date +%s) - T0))
sleep 2

step "nothing changed"
same_state() { state >"$WORK/state.after" && diff "$WORK/state.before" "$WORK/state.after"; }
check "calls, registrations, SAs, gateways, devices are the same" wait_for 5 same_state
for d in signer controlplane dataplane; do
	old=$(eval echo "\$RSS_$d") now=$(rss $d)
	check "$d lives" eval "daemon_alive $d && [ \$(daemon_pid $d) = $(eval echo "\$PID_$d") ]"
	check "$d: memory bounded ($old -> $now KiB)" test "$now" -lt $((old + 40960))
done
check "phone and gateway still talk" eval "kill -0 $PHONE_PID && kill -0 $GW_PID"

step "counters moved"
ctl -j show counters >"$WORK/after.json" || bail "show counters"
moved() { # AT LEAST, JQ FILTER
	local a b
	b=$(jq "$2" "$WORK/before.json") && a=$(jq "$2" "$WORK/after.json") && echo "$2: $b -> $a" && [ $((a - b)) -ge "$1" ]
}
drop() { echo "[.workers[].drops.$1 // 0] | add"; }
for c in "auth 400" "replay 200" "stale 400" "rtp_malformed 50" "rtcp_malformed 50" "no_leg 100" "l4_malformed 100" \
	"l3_malformed 200" "l3_fragment 50" "esp_replay 10" "esp_auth 40" "esp_no_sa 40" "esp_malformed 20" "policy 100" \
	"mgcp_unknown 100"; do
	set -- $c
	check "dropped as $1, at least $2 more" moved "$2" "$(drop "$1")"
done
check "SCCP: malformed" moved 300 .sccp.malformed
check "SCCP: before registration" moved 100 .sccp.early
check "SCCP: bad lengths ended connections" moved 16 '.sccp.net.closed["bad-frame"]'
check "TLS on the clear port" moved 3 .sccp.net.tls_on_clear
check "clear text on the TLS port" moved 4 .sccp.net.clear_on_tls
check "handshakes reaped" moved 50 .sccp.net.closed.timeout
check "strangers' certificates" moved 2 '.sccp.net.tls_failed | [.[]] | add'
check "registration in clear refused" moved 1 '.sccp.refused["sccp-clear-registration"]'
check "registration under another's certificate refused" moved 1 '.sccp.refused["sccp-cert-name"]'

step "the log tells, and not too much"
for e in controlplane:bad-frame controlplane:sccp-malformed controlplane:tls-on-clear-port controlplane:clear-on-tls-port \
	controlplane:tls-handshake-failed controlplane:connection-reaped controlplane:sccp-cert-name \
	controlplane:sccp-clear-registration controlplane:admin-bad-request dataplane:packets-refused dataplane:controlplane-second; do
	n=$(grep -c "event=${e#*:} " "$WORK/${e%%:*}.log")
	# five at once, then one a second; 'skipped' lines count too
	check "${e#*:}: $n lines in $TOOK s" test "$n" -ge 1 -a "$n" -le $((2 * (TOOK + 10)))
done
for why in auth= replay= esp_replay= esp_auth= policy= mgcp_ l3_malformed=; do
	check "packets-refused names ${why%=}" grep -q "event=packets-refused .*$why" "$WORK/dataplane.log"
done
check "logs are small ($(cat "$WORK"/{controlplane,dataplane,signer}.log | wc -c) bytes)" \
	test "$(cat "$WORK"/{controlplane,dataplane,signer}.log | wc -c)" -lt 400000
check "no control character in a log" eval "! LC_ALL=C grep -nP '[^\\x20-\\x7e]' $WORK/controlplane.log $WORK/dataplane.log"

step "the call ends as it should"
kill -USR1 $PHONE_PID
gone() { ! kill -0 "$1" 2>/dev/null; }
wait_for 20 gone $PHONE_PID
wait $PHONE_PID
check "phone: hung up, unregistered" test $? = 0
wait_for 20 gone $GW_PID
check "no calls" ctl_holds 'show calls' 'length == 0'
jq '.gateway[0] | [.. | objects | select(has("sent") and has("received"))][0]' "$WORK/gw.json" >"$WORK/gw-media.json"
lost() { [ "$(jq "$1" "$2")" = 0 ]; }
check "phone: nothing lost of $(jq '.call[0].media.received.packets' "$WORK/phone.json") packets" lost '.call[0].media.received.lost' "$WORK/phone.json"
check "gateway: nothing lost of $(jq '.received.packets' "$WORK/gw-media.json") packets" lost .received.lost "$WORK/gw-media.json"
check "gateway: nothing that does not authenticate was relayed" lost .received.auth_failed "$WORK/gw-media.json"
compare() {
	"$BUILD/bench/sim/ravelin-phonesim" --compare "$1" "$2" --min-frames 1000 --edge 400 >"$3" 2>&1
	[ "$(jq .equal "$3")" = true ] || { cat "$3"; return 1; }
}
check "phone -> gateway: audio equal" compare "$WORK/phone-played.ul" "$WORK/gw-rec.wav" "$WORK/cmp-ab.json"
check "gateway -> phone: audio equal" compare "$WORK/gw-played.ul" "$WORK/phone-rec.wav" "$WORK/cmp-ba.json"

appliance_stop 2>>"$WORK/checks.out"
check "clean stop, every packet buffer returned" test $? = 0 -a "$(grep -c 'event=stopped mbufs_leaked=0' "$WORK/dataplane.log")" = 1
check "no sanitizer report" eval "! grep -El 'AddressSanitizer|runtime error|LeakSanitizer' $WORK/dataplane.log $WORK/controlplane.log $WORK/signer.log"
printf '%d passed, %d failed\n' $PASSED $FAILED
[ $FAILED = 0 ]
