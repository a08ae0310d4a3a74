#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Half-open connections to CAPF and TVS, as many to each at once, from 50 addresses and then from one: nothing said, half a
# ClientHello, a whole one, and on TVS's port (CAPF's too with RAVELIN_FULL, where it takes a minute) a handshake and then silence.
# Meanwhile a phone of another address enrols, one asks TVS, one registers and stays so. Memory, descriptors and log lines are
# bounded, all are ended by the appliance, and what was refused is counted. 2,000 connections to each port; 10,000 with RAVELIN_FULL.
# RAVELIN_BUILD: build directory. As root; exit 0 or 1. 004b:CAPF-04, 002:P2-13.
# May run beside another.
set -u
SC_NAME=eflood
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
HERE=$(dirname "${BASH_SOURCE[0]}")
COUNT=2000 PREAUTH=820 HANDSHAKE=4 CAPF_TLS=
[ "${RAVELIN_FULL:-0}" = 0 ] || COUNT=10000 PREAUTH=4096 HANDSHAKE=12 CAPF_TLS=--tls
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=8

ns_up || die "network namespaces could not be made"
sc_phones 1 2
for i in $(seq 100 149); do ip -n "$NS_PHONE" addr add "10.77.1.$i/24" dev phone0; done
appliance_config "signer: {server_key: ec-p256}
enrol: {listen: 10.77.1.1, handshake_s: $HANDSHAKE, max_preauth: $PREAUTH, max_source: $((PREAUTH / 12))}" || die "configuration"
daemon signer
daemon controlplane
is_up() { ctl_holds status 'has("registered")'; }
wait_for 60 is_up || die "the controlplane did not come up: $(tail -n 3 "$WORK/controlplane.log")"
ctl utils ctl set-cluster mixed-mode >/dev/null || die "mixed mode"
sc_device 1 encrypted || die "device 1"
ctl device add "$(sc_phone_name 2)" --mode nonsecure --line 1002 >/dev/null || die "device 2"
A=$(sc_phone_name 1) B=$(sc_phone_name 2)
CA=$WORK/state/signer/ca.pem
mkdir "$WORK/flash"
in_phone timeout 900 "$SIM/ravelin-phonesim" --server 10.77.1.1 --name "$A" --source "$(sc_phone_ip 1)" --tls --cert "$WORK/$A.pem" --ca "$WORK/ca.pem" \
	--duration 880 --timeout 30 --retry 0 --report "$WORK/p1.json" >"$WORK/p1.log" 2>&1 &
REG=$!
wait_for 20 registered 1 || die "a phone did not register"
ctl cert export TVS --der --out "$WORK/TVS.der" >/dev/null || die "certificate"

PID=$(daemon_pid controlplane)
rss() { awk '/VmRSS/ {print $2}' "/proc/$PID/status"; }
fds() { ls "/proc/$PID/fd" | wc -l; }
RSS0=$(rss) FDS0=$(fds)
say "controlplane: $RSS0 KiB, $FDS0 descriptors"
PEAK=$RSS0 FDS=$FDS0 WAITING=0
watch() { # PID...: until they end, look at memory, descriptors and how many wait
	local v
	while kill -0 "$1" 2>/dev/null || kill -0 "$2" 2>/dev/null; do
		v=$(rss)
		[ "$v" -le "$PEAK" ] || PEAK=$v
		v=$(fds)
		[ "$v" -le "$FDS" ] || FDS=$v
		v=$(ctl -j show capf | jq .net.preauth)
		[ "${v:-0}" -le "$WAITING" ] || WAITING=$v
		sleep 0.3
	done
}
flood() { # PORT FIRST SOURCES DEADLINE NAME [--tls]: its process in FLOOD
	in_phone python3 "$HERE/idle_flood.py" 10.77.1.1 "$1" "$COUNT" --sources "$2" "$3" --deadline "$4" ${6:-} >"$WORK/$5.json" 2>"$WORK/$5.err" &
	FLOOD=$!
}
enrols() { # REPORT TIMEOUT-MS
	ctl capf set "$B" --op install --auth null --key ec-p256 >/dev/null || return 1
	in_phone timeout 200 "$SIM/ravelin-capfsim" --server 10.77.1.1 --ca "$CA" --name "$B" --source "$(sc_phone_ip 2)" --flash "$WORK/flash" \
		--timeout-ms "$2" >"$WORK/$1.json" 2>>"$WORK/capfsim.log"
	jq -e '.reason == 1 and .stored' "$WORK/$1.json" >/dev/null
}
asks() { # TIMEOUT
	[ "$(in_phone timeout "$1" env TVS_TIMEOUT="$1" /usr/bin/python3 "$HERE/tvs_ask.py" 10.77.1.1 2445 verify "$WORK/TVS.der" 2>>"$WORK/ask.log")" = "valid 21 86400" ]
}
same() { [ "$(ctl -j capf show "$B" | jq -r '[.certificates[] | select(.state == "held") | .serial] | join(",")')" = \
	"$("$SIM/ravelin-capfsim" --holds --name "$B" --flash "$WORK/flash")" ]; }
check "before: it enrols" enrols before 40000
check "before: TVS answers" asks 40

step "$COUNT connections to each port from 50 addresses"
# As many as may wait at once are ended every HANDSHAKE seconds (those that shook hands after three times that, CAPF's after a minute); the
# others wait in the kernel for their turn, and who comes honestly waits with them. 50 addresses may fill all places: max_source.
ROUNDS=$(((COUNT + PREAUTH - 1) / PREAUTH))
LIMIT=$((ROUNDS * (3 * HANDSHAKE + 2) + 150))
[ -z "$CAPF_TLS" ] || LIMIT=$((LIMIT + ROUNDS * 60))
flood 3804 10.77.1.100 50 $LIMIT capf $CAPF_TLS
CAPF=$FLOOD
flood 2445 10.77.1.100 50 $LIMIT tvs --tls
TVS=$FLOOD
sleep 1
(enrols during $((LIMIT * 1000))) &
HONEST=$!
(asks $LIMIT) &
ASKS=$!
watch $CAPF $TVS
wait $CAPF
check "CAPF ended them all ($(jq -c . "$WORK/capf.json"))" test $? = 0
wait $TVS
check "so did TVS ($(jq -c . "$WORK/tvs.json"))" test $? = 0
wait $HONEST
check "a phone enrolled meanwhile" test $? = 0
check "and both know the same LSC" same
wait $ASKS
check "TVS answered meanwhile" test $? = 0
check "at most $PREAUTH waited at once (seen: $WAITING)" test "$WAITING" -le $PREAUTH -a "$WAITING" -gt $((PREAUTH / 3))
check "descriptors are bounded ($FDS at most)" test "$FDS" -le $((FDS0 + 2 * PREAUTH + 32))
ROOM=$((2 * PREAUTH * 64 + 16384))
check "memory is bounded: $RSS0 KiB before, $PEAK at most, limit $((RSS0 + ROOM))" test "$PEAK" -lt $((RSS0 + ROOM))
check "some shook hands and said nothing ($(jq .shook_hands "$WORK/tvs.json"))" [ "$(jq ".shook_hands > $COUNT / 20" "$WORK/tvs.json")" = true ]
for p in capf tvs; do
	check_ctl "$p counts them" "show $p" ".net | (.closed.timeout + .closed.tls + .closed.peer + .closed.local + .refused_source) >= $COUNT"
done
check_ctl "no session was made of any but the phone's" "show capf" ".connections == 0 and .malformed == 0"
soon_ctl "nothing is left of it" 10 "show capf" '.net.preauth == 0'

step "$COUNT connections to each port from one address"
PEAK1=$PEAK
flood 3804 10.77.1.100 1 200 capf1
CAPF=$FLOOD
flood 2445 10.77.1.100 1 200 tvs1
TVS=$FLOOD
soon_ctl "over its share an address is refused" 15 "show capf" ".net.refused_source >= $COUNT / 8"
check "a phone of another address enrols at once" enrols at-once 40000
check "and TVS answers at once" asks 40
watch $CAPF $TVS
wait $CAPF
check "CAPF ended them all ($(jq -c . "$WORK/capf1.json"))" test $? = 0
wait $TVS
check "so did TVS" test $? = 0
check "memory is used again ($PEAK1 KiB, then $PEAK)" test "$PEAK" -lt $((PEAK1 + 8192))
soon_ctl "nothing is left of it" 10 "show tvs" '.net.preauth == 0 and .net.connections <= 1'
files_back() { [ "$(fds)" -le $((FDS0 + 4)) ]; }
check "nor of its descriptors" wait_for 10 files_back

step "who was there"
check "the registered phone still is" registered 1
check_ctl "over its first connection" "show counters" '.sccp.registers == 1 and .sccp.keepalive_timeouts == 0'
kill $REG
for e in source-over-limit preauth-full connection-reaped; do
	check "the log tells: $e" grep -q "event=$e" "$WORK/controlplane.log"
done
LINES=$(wc -l <"$WORK/controlplane.log")
check "and not too often ($LINES lines)" test "$LINES" -lt $((300 + COUNT / 20 + 3 * SECONDS))
kill "$PID"
wait "$PID"
check "it stops cleanly" test $? = 0
sc_end
