#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Thousands of TCP connections to the TLS port that say nothing or begin a handshake and stop: memory stays bounded, they
# are reaped, registered phones notice nothing, new phones get in afterwards, and during it when the flood has one source.
# And what is said when a process may not have as many files as there may be connections.
# 2,000 connections, each replaced for 3 s; 12,000 for ten minutes, 10,000 at a time in the handshake, with RAVELIN_FULL=1. As root. RAVELIN_BUILD: build directory. Exit 0 or 1.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
NS=rvif$$
. "$here/../../scripts/lib.sh"
. "$here/../../scripts/netns.sh"
BUILD=$(realpath "${RAVELIN_BUILD:-$here/../../build}")
. "$here/../../scripts/appliance.sh"
need_root
COUNT=2000 MAX_PREAUTH=820 HANDSHAKE=4 FOR=3
[ "${RAVELIN_FULL:-0}" = 0 ] || COUNT=12000 MAX_PREAUTH=10000 HANDSHAKE=10 FOR=600
WORK=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-idle.XXXXXX")
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
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=8

step "appliance with ten registered phones"
ns_up || bail "network namespaces"
for i in 11 $(seq 100 149); do ip -n "$NS_PHONE" addr add "10.77.1.$i/24" dev phone0; done
appliance_config
sed -i "s|^sccp:|sccp:\n  handshake_s: $HANDSHAKE\n  max_preauth: $MAX_PREAUTH\n  keepalive_s: 5|" "$WORK/ravelin.yaml"
daemon signer
daemon controlplane
up() { ctl_holds status '.registered.encrypted >= 0'; }
wait_for 60 up || bail "the controlplane did not come up"
ctl utils ctl set-cluster mixed-mode >/dev/null || bail "the cluster was not made mixed"
mkdir "$WORK/certs"
for i in $(seq 1 11); do
	name=$(printf 'SEP%012X' "$i")
	ctl device add "$name" --mode encrypted --line $((1000 + i)) >/dev/null && ctl cert issue "$name" --out "$WORK/certs" >/dev/null ||
		bail "provisioning"
done
SIM=$BUILD/bench/sim/ravelin-phonesim
ip netns exec "$NS_PHONE" "$SIM" --server 10.77.1.1 --tls --ca "$WORK/certs/ca.pem" --cert-dir "$WORK/certs" --load 10 --hold 3600 \
	--retry 0 --timeout 60 --source 10.77.1.10 --report "$WORK/phones.json" >"$WORK/phones.log" 2>&1 &
PHONES=$!
registered() { ctl_holds status ".registered.encrypted == $1"; }
wait_for 20 registered 10 || bail "ten phones did not register"
rss() { awk '/VmRSS/ {print $2}' "/proc/$(daemon_pid controlplane)/status"; }
RSS0=$(rss)
say "controlplane: $RSS0 KiB"

PEAK=$RSS0 PREAUTH=0
watch() { # PID: until it ends, look at memory and at how many are held
	local r s
	while kill -0 "$1" 2>/dev/null; do
		r=$(rss)
		[ "$r" -le "$PEAK" ] || PEAK=$r
		s=$(ctl -j show counters | jq '.sccp.net.preauth') || s=
		[ "${s:-0}" -le "$PREAUTH" ] || PREAUTH=$s
		sleep 0.3
	done
}
flood() { # COUNT FIRST SOURCES DEADLINE NAME [SECONDS]
	ip netns exec "$NS_PHONE" python3 "$here/idle_flood.py" 10.77.1.1 2443 "$1" --sources "$2" "$3" --deadline "$4" --seconds "${6:-0}" >"$WORK/$5.json" 2>"$WORK/$5.log" &
	FLOOD=$!
}
new_phone() {
	ip netns exec "$NS_PHONE" timeout 90 "$SIM" --server 10.77.1.1 --tls --ca "$WORK/certs/ca.pem" --cert "$WORK/certs/SEP00000000000B.pem" \
		--name SEP00000000000B --source 10.77.1.11 --duration 1 --retry 0 --timeout 30 --report "$WORK/new.json"
}

step "$COUNT connections from 50 addresses, for $FOR s"
# As many as may wait at once are reaped every handshake_s; the others wait in the kernel for their turn.
ROUNDS=$(((COUNT + MAX_PREAUTH - 1) / MAX_PREAUTH))
flood $COUNT 10.77.1.100 50 $((FOR + ROUNDS * (HANDSHAKE + 2) + 150)) many $FOR
watch $FLOOD
wait $FLOOD
check "all were ended by the appliance ($(jq -c . "$WORK/many.json"))" test $? = 0
check "at most $MAX_PREAUTH waited at once (seen: $PREAUTH)" test "$PREAUTH" -le $MAX_PREAUTH -a "$PREAUTH" -gt $((MAX_PREAUTH / 3))
check "those that are taken are reaped in time (half of all within $(jq .life_p50_s "$WORK/many.json") s)" \
	[ "$(jq ".life_p50_s <= 3 * $ROUNDS * ($HANDSHAKE + 2)" "$WORK/many.json")" = true ]
PEAK1=$PEAK
LIMIT=$((MAX_PREAUTH * 64 + 16384))
check "memory bounded: $RSS0 KiB before, $PEAK at most, limit $((RSS0 + LIMIT))" test "$PEAK" -lt $((RSS0 + LIMIT))
ctl -j show counters >"$WORK/counters.json"
check "counted: $(jq -c '.sccp.net.closed' "$WORK/counters.json")" \
	[ "$(jq ".sccp.net.closed | (.timeout + .tls + .peer) >= $COUNT" "$WORK/counters.json")" = true ]
check "reaped by time, not otherwise" [ "$(jq ".sccp.net.closed.timeout >= $COUNT * 9 / 10" "$WORK/counters.json")" = true ]
check "accepting paused and went on ($(jq .sccp.net.pauses "$WORK/counters.json") times)" [ "$(jq '.sccp.net.pauses >= 1' "$WORK/counters.json")" = true ]
check "ten phones still registered" registered 10
check "a new phone registers" new_phone
check "nothing is left of the flood" wait_for 10 ctl_holds 'show counters' '.sccp.net.preauth == 0'

step "$COUNT connections from one address"
flood $COUNT 10.77.1.100 1 $((3 * HANDSHAKE + 150)) one
full() { ctl_holds 'show counters' ".sccp.net.refused_source >= $((COUNT / 8))"; }
check "over its share an address is refused" wait_for 15 full
check "meanwhile a phone of another address registers" new_phone
watch $FLOOD
wait $FLOOD
check "all were ended by the appliance ($(jq -c . "$WORK/one.json"))" test $? = 0
check "log lines tell: source-over-limit, preauth-full, connection-reaped" \
	eval "grep -q event=source-over-limit $WORK/controlplane.log && grep -q event=preauth-full $WORK/controlplane.log && grep -q event=connection-reaped $WORK/controlplane.log"
check "and not too many ($(wc -l <"$WORK/controlplane.log") lines)" test "$(wc -l <"$WORK/controlplane.log")" -lt $((500 + 2 * SECONDS))

step "the phones"
kill -TERM $PHONES
gone() { ! kill -0 $PHONES 2>/dev/null; }
wait_for 15 gone
wait $PHONES
check "none was lost, all stayed registered" test $? = 0
check "every keepalive answered ($(jq -c .keepalive "$WORK/phones.json"))" \
	[ "$(jq '.lost == 0 and .registered_at_end == 10 and .keepalive.count >= 20' "$WORK/phones.json")" = true ]
check "memory is used again, not more by the second flood ($PEAK1 KiB, then $PEAK)" test "$PEAK" -lt $((PEAK1 + 8192))
check "clean stop" appliance_stop

step "fewer files than connections may be" # root may go beyond the limit: this one may not
daemon signer
(
	ulimit -n 1500
	exec ip netns exec "$NS_APP" setpriv --bounding-set=-sys_resource "$BUILD/controlplane/ravelin-controlplane" -c "$WORK/ravelin.yaml" \
		>"$WORK/small.log" 2>&1
) &
printf '%s' $! >"$WORK/controlplane.pid"
check "it works" wait_for 60 up
check "and says so as it starts ($(grep -o 'event=files-limit.*remedy' "$WORK/small.log"))" grep -q "event=files-limit allowed=1500 wanted=[0-9]* sccp=20000 remedy=" "$WORK/small.log"
check "clean stop" appliance_stop
check "no sanitizer report" eval "! grep -El 'AddressSanitizer|runtime error|LeakSanitizer' $WORK/controlplane.log $WORK/small.log $WORK/signer.log"
printf '%d passed, %d failed\n' $PASSED $FAILED
[ $FAILED = 0 ]
