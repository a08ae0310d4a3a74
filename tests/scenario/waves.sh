#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Waves: one CAPF operation for many phones. A farm that is registered (24 phones, 300 with RAVELIN_FULL) enrols in one wave, in whose
# middle the controlplane is killed (three times with RAVELIN_FULL); each phone is set once. Broken phones stop a wave by themselves, it is resumed when they are
# mended; a renewal by the LSCs that they hold, which costs nobody the registration but for its own restart; strings, reports,
# tables that are wrong. 004b:CAPF-20, CAPF-25, CAPF-34, CAPF-35, SEC-19. RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# May run beside another.
set -u
SC_NAME=waves
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
N=24
RATE=1800
KILLS="5"
[ "${RAVELIN_FULL:-0}" = 0 ] || { N=300; KILLS="6 60 150"; }
AT_ONCE=8
HERE=$(dirname "${BASH_SOURCE[0]}")

ns_up || die "network namespaces could not be made"
appliance_config "signer: {server_key: ec-p256}
enrol: {listen: 10.77.1.1}" || die "configuration"
daemon signer
daemon controlplane
is_up() { ctl_holds status 'has("registered")'; }
wait_for 60 is_up || die "the controlplane did not come up: $(tail -n 3 "$WORK/controlplane.log")"
ctl utils ctl set-cluster mixed-mode >/dev/null || die "mixed mode"
CA=$WORK/state/signer/ca.pem
FLASH=$WORK/flash
mkdir "$FLASH"
name() { printf 'SEP%012X' $((0xA000 + $1)); }
# The last third are of another model.
OLD=$((N / 3))
{
	echo "name,mode,model,line1"
	for i in $(seq 0 $((N - 1))); do echo "$(name "$i"),nonsecure,$([ "$i" -ge $((N - OLD)) ] && echo 7970 || echo 8861),$((20000 + i))"; done
} >"$WORK/phones.csv"
ctl import phones "$WORK/phones.csv" >"$WORK/import.out" 2>&1 || die "phones: $(cat "$WORK/import.out")"
ctl profile add farm --mode nonsecure --capf-auth null --capf-key ec-p256 --capf-backup rsa-2048 >/dev/null || die "profile"
in_phone timeout 3600 "$SIM/ravelin-phonesim" --server 10.77.1.1 --tcp --load $N --first "$(name 0)" --hold 3500 --parallel 20 --rate 200 \
	--retry 1000 --timeout 60 --events="$WORK/farm.events" --report "$WORK/farm.json" >"$WORK/farm.log" 2>&1 </dev/null &
FARM=$!
count() { ctl -j show registrations | jq length; }
all_here() { [ "$(count)" = $N ]; }
wait_for 30 all_here && ok "$N phones are registered" || bad "$N phones are registered" "$(count)"
: >"$WORK/broken"
in_phone python3 "$HERE/waves_phones.py" "$SIM/ravelin-capfsim" 10.77.1.1 "$CA" "$FLASH" "$WORK/farm.events" "$WORK/broken" "$WORK/sessions" "$WORK/quit" \
	>"$WORK/driver.log" 2>&1 &
DRIVER=$!
wave() { ctl -j capf wave show "$1"; }
wave_is() { [ "$(wave "$1" | jq -r .state)" = "$2" ]; }
has() { [ "$(wave "$1" | jq ".$2")" -ge "$3" ]; } # WAVE STATE N
same_all() { # each phone's idea of its LSC is ours
	ctl -j capf report >"$WORK/all.json"
	local d lsc n=0
	while read -r d lsc; do
		[ "$lsc" != - ] && [ "$("$SIM/ravelin-capfsim" --holds --name "$d" --flash "$FLASH")" = "$lsc" ] && n=$((n + 1))
	done < <(jq -r '.[] | "\(.device) \(if .lsc == "" then "-" else .lsc end)"' "$WORK/all.json")
	[ "$n" = $N ]
}
set_by() { # WAVE: how often it set a device, by the audit, which is written with it
	ctl -j show audit --max 1000 | jq "[.[] | select(.event == \"capf.wave.set\") | .text | capture(\"wave $1: (?<n>[0-9]+) \").n | tonumber] | add // 0"
}

step "tables that are wrong"
printf 'device,x\n%s,1\nnobody,2\n%s,"open\n' "$(name 0)" "$(name 1)" >"$WORK/wrong.csv"
ctl capf wave start --csv "$WORK/wrong.csv" --op install >"$WORK/wrong.out" 2>&1
check "is refused, exit 1" test $? = 1
check "with the lines" eval 'grep -q "^3 .*nobody.*is no device name" "$WORK/wrong.out" && grep -q "^4 " "$WORK/wrong.out" && grep -q "nothing was begun" "$WORK/wrong.out"'
check_ctl "and nothing was begun" "capf wave list" '. == []'
check "a table without the column" eval 'printf "phone\nx\n" | ctl capf wave start --csv - 2>&1 | grep -q "line 1: the header has no column device"'
check "nothing chosen" eval 'ctl capf wave start --op install 2>&1 | grep -q "which devices"'
check "nobody fits" eval 'ctl capf wave start --model none 2>&1 | grep -q "no device fits: model"'

step "a wave, killed in its middle"
{ echo "device"; for i in $(seq 0 $((N - 1))); do name "$i"; echo; done | grep .; } >"$WORK/list.csv"
check "it begins" ctl capf wave start --csv "$WORK/list.csv" --auth null --key ec-p256 --per-minute $RATE --at-once $AT_ONCE --reset
most=0
for at in $KILLS; do
	wait_for 60 has 1 successful "$at" || bad "it goes on" "$(wave 1)"
	p=$(wave 1 | jq .pending)
	[ "$p" -le $most ] || most=$p
	kill -9 "$(daemon_pid controlplane)"
	wait "$(daemon_pid controlplane)" 2>/dev/null
	daemon controlplane
	wait_for 30 is_up || die "it did not come back"
done
wait_for 120 wave_is 1 "done" && ok "it is done" || bad "it is done" "$(wave 1 | tr -d '\n' | head -c 600)"
check_ctl "all $N" "capf wave show 1" ".successful == $N and .waiting == 0 and .pending == 0 and .failed == 0 and .ended != \"\""
check "each was set once ($(set_by 1))" test "$(set_by 1)" = $N
check "no more than $AT_ONCE were pending ($most)" test "$most" -le $AT_ONCE
check "in order" eval '[ "$(ctl -j capf report --wave 1 | jq -r ".[].device")" = "$(tail -n +2 "$WORK/list.csv")" ]'
check "what each phone holds is what we think" same_all
wait_for 30 all_here && ok "all are registered" || bad "all are registered" "$(count)"

step "failures stop it"
for i in $(seq $((N - OLD)) $((N - 1))); do name "$i"; echo; done | grep . >"$WORK/broken"
check "a wave for a model whose flash is broken" ctl capf wave start --model 7970 --auth null --key ec-p256 --per-minute $RATE --at-once 2 --stop-at 20 --reset
wait_for 60 wave_is 2 stopped && ok "stops by itself" || bad "stops by itself" "$(wave 2)"
check_ctl "and says why" "capf wave show 2" '(.reason | test("of the last [0-9]+ devices failed, more than 20 %")) and .waiting > 0 and .failed >= 5 and .failed <= 7'
check_ctl "with an alarm" "show alarms" 'any(.[]; .id == "capf-wave-stopped" and .subject == "wave-2" and (.text | test("resume 2")))'
ctl -j capf report --wave 2 --status failed >"$WORK/failed.json"
check_json "the report has error and remedy" "$WORK/failed.json" 'length >= 5 and all(.[]; .error == "the phone could not do it" and (.remedy | length > 0) and .wave == "2" and .model == "7970" and .lsc != "")'
kill -9 "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)" 2>/dev/null
daemon controlplane
wait_for 30 is_up || die "it did not come back"
check_ctl "a restart does not make it go on, and the alarm is there" "show alarms" 'any(.[]; .id == "capf-wave-stopped")'
check_ctl "it is stopped" "capf wave show 2" '.state == "stopped"'
: >"$WORK/broken"
wait_for 30 all_here || bad "all are registered" "$(count)"
check "resumed" ctl capf wave resume 2
wait_for 60 wave_is 2 "done" && ok "it is done" || bad "it is done" "$(wave 2)"
check_ctl "the rest went well, nobody was set twice" "capf wave show 2" ".successful + .failed == $OLD and .successful > 0"
check "by the audit too" test "$(set_by 2)" = $OLD
check_ctl "the alarm is over" "show alarms" 'all(.[]; .id != "capf-wave-stopped")'
ctl capf report --wave 2 --status failed --csv >"$WORK/again.csv"
check "the failed ones again, from the report's own table" ctl capf wave start --csv "$WORK/again.csv" --auth null --key ec-p256 --per-minute $RATE --reset
wait_for 60 wave_is 3 "done" && ok "and they are well" || bad "and they are well" "$(wave 3)"
check_ctl "all of them" "capf wave show 3" '.successful == .devices and .devices >= 5'

step "renewal"
# Two encrypted phones, registered with their LSCs: they are not reset, their session runs beside the registration.
T1=$(name 0)
ctl device set "$T1" --mode encrypted >/dev/null || bad "a phone becomes encrypted"
sleep 1
in_phone timeout -k 2 2000 "$SIM/ravelin-phonesim" --server 10.77.1.1 --name "$T1" --tls --ca "$CA" --cert "$FLASH/$T1.lsc.pem" --duration 1900 \
	--timeout 30 --retry 1000 --report "$WORK/t1.json" >"$WORK/t1.log" 2>&1 &
TLS=$!
tls_here() { ctl_holds 'show registrations' "any(.[]; .device == \"$T1\" and .transport == \"tls\")"; }
wait_for 15 tls_here && ok "an encrypted phone is registered with its LSC" || bad "an encrypted phone is registered with its LSC" "$(ctl -j show registrations | jq -c ".[] | select(.device == \"$T1\")")"
BEFORE=$("$SIM/ravelin-capfsim" --holds --name "$T1" --flash "$FLASH")
wait_for 30 all_here || bad "all are registered" "$(count)"
: >"$WORK/sessions"
check "of all LSCs that expire within 40 years" ctl capf wave start --expiring 14600 --key ec-p256 --per-minute 240 --at-once $AT_ONCE --reset
least=$N end=$((SECONDS + 400))
while ! wave_is 4 "done" && [ $SECONDS -lt $end ]; do
	c=$(count)
	[ "$c" -ge "$least" ] || least=$c
	# the TLS phone hears of it as the others do, and does its session while it is registered
	if [ "$(ctl -j capf show "$T1" | jq -r .status)" = "Install/Upgrade pending" ]; then
		in_phone timeout 90 "$SIM/ravelin-capfsim" --server 10.77.1.1 --ca "$CA" --name "$T1" --flash "$FLASH" --show lsc >"$WORK/t1.capf" 2>&1
	fi
	sleep 0.1
done
check_ctl "it is done, all $N" "capf wave show 4" ".state == \"done\" and .successful == $N"
check "by the LSCs that they held" eval '[ "$(ctl -j capf report --wave 4 | jq "[.[] | select(.auth == \"lsc\")] | length")" = '$N' ]'
check "no phone was without a certificate that we believe: no session was refused" eval '! jq -e "select(.reason > 1)" "$WORK/sessions" >/dev/null'
# A phone that restarts is away for as long as that takes, which on a busy machine is longer than its operation: how many were there is
# shown; that it was never nobody is what can be asked of any machine.
check "registered were never fewer than $least of $N" test "$least" -ge $((N / 8))
check "what each phone holds is what we think" same_all
check "the TLS phone has another LSC" test "$("$SIM/ravelin-capfsim" --holds --name "$T1" --flash "$FLASH")" != "$BEFORE"
check_ctl "its old one is revoked" "capf show $T1" "any(.certificates[]; .serial == \"$BEFORE\" and .state == \"revoked\")"
kill -TERM $TLS 2>/dev/null
wait $TLS 2>/dev/null
wait_for 20 eval '[ "$(count)" -ge $((N - 1)) ]' || bad "all are registered" "$(count)"

step "strings"
head -6 "$WORK/list.csv" | tail -5 >"$WORK/five"
{ echo device; tail -4 "$WORK/five"; } >"$WORK/strings.csv"
check "a wave by string" ctl capf wave start --csv "$WORK/strings.csv" --auth string --key ec-p256 --per-minute 6000
wait_for 20 has 5 pending 4 || bad "four are pending" "$(wave 5)"
ctl -j capf report --wave 5 >"$WORK/strings.json"
check_json "each has its own, in the report" "$WORK/strings.json" 'length == 4 and all(.[]; .string | test("^[0-9]{8}$")) and ([.[].string] | unique | length) == 4 and all(.[]; .auth == "string")'
D=$(jq -r '.[0].device' "$WORK/strings.json") S=$(jq -r '.[0].string' "$WORK/strings.json")
in_phone timeout 90 "$SIM/ravelin-capfsim" --server 10.77.1.1 --ca "$CA" --name "$D" --flash "$FLASH" --string "$S" >"$WORK/one.json" 2>&1
check_json "the phone takes it" "$WORK/one.json" '.reason == 1 and .stored'
check "no log has it" eval '! grep -q "$S" "$WORK"/*.log'
E=$(jq -r '.[1].device' "$WORK/strings.json")
check "an operator cancels one" ctl capf cancel "$E"
soon_ctl "that is no failure" 5 "capf wave show 5" '.successful == 1 and .overtaken == 1 and .failed == 0 and .pending == 2'
printf 'device\n%s\n' "$(jq -r '.[2].device' "$WORK/strings.json")" >"$WORK/busy.csv"
check "a device whose operation is pending" ctl capf wave start --csv "$WORK/busy.csv" --auth null
sleep 1
check_ctl "is not taken" "capf wave show 6" '.waiting == 1 and .pending == 0'
check "cancelled" ctl capf wave cancel 6
check_ctl "over" "capf wave show 6" '.state == "cancelled" and .waiting == 1'
check "and cannot be resumed" eval 'ctl capf wave resume 6 2>&1 | grep -q "wave 6 is over: it is cancelled"'

step "pause"
{ echo device; tail -20 "$WORK/list.csv"; } >"$WORK/slow.csv"
check "it begins" ctl capf wave start --csv "$WORK/slow.csv" --auth null --per-minute 60 --at-once 100
W=$(ctl -j capf wave list | jq '.[-1].wave')
wait_for 10 has "$W" pending 1 || bad "one is set" "$(wave "$W")"
check "it is paused" ctl capf wave pause "$W"
P=$(wave "$W" | jq .pending)
sleep 2.5
check_ctl "nobody else is set" "capf wave show $W" ".state == \"paused\" and .pending == $P and .waiting == 20 - $P"
check "cancelled" ctl capf wave cancel "$W"

step "reports"
ctl -j capf report >"$WORK/r.json"
ctl capf report --csv >"$WORK/r.csv"
check "CSV says what JSON says" python3 - "$WORK/r.json" "$WORK/r.csv" <<'PY'
import csv, json, sys
rows = json.load(open(sys.argv[1]))
table = list(csv.DictReader(open(sys.argv[2], newline="")))
assert len(rows) == len(table) > 0
for a, b in zip(rows, table):
    assert list(a) == list(b), (list(a), list(b))
    assert all(str(a[k]) == b[k] for k in a), (a, b)
for k in ("device", "operation", "status", "auth", "string", "error", "remedy", "lsc", "lsc_expires", "wave"):
    assert k in table[0], k
PY
check_ctl "by model" "capf report --model 7970" "length == $OLD and all(.[]; .model == \"7970\")"
check_ctl "nobody's LSC expires within a day" "capf report --expiring 1" '. == []'
check_ctl "all within 40 years" "capf report --expiring 14600" "length == $N and all(.[]; .lsc != \"\" and .lsc_expires != \"\")"
check_ctl "none of a profile that nobody has" "capf report --profile farm" '. == []'

touch "$WORK/quit"
kill -TERM $FARM
wait $FARM $DRIVER 2>/dev/null
kill "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)"
check "it stops cleanly" test $? = 0
sc_end
