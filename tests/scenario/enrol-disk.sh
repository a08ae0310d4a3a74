#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# CAPF on a disk that fails in the middle of enrolments: writing, syncing, opening, renaming, short writes in the controlplane's store fail
# with ENOSPC or EIO, once, three times or for as long as the session lasts, from the first such call of the session on or from a later one.
# A phone is never told what is not on the disk: what it was told is done is so after a kill, and what it has in its flash is known and
# not refused. When the disk works again the phone comes again, and its idea of its LSC is ours. A failing disk costs the phone no attempt.
#   POINTS (18; RAVELIN_FULL: 108): places where the disk fails; the controlplane is killed after each third of them.
# RAVELIN_BUILD: build directory. As root; exit 0 or 1. 004b:CAPF-04.
# May run beside another.
set -u
SC_NAME=edisk
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
POINTS=${POINTS:-18}
[ "${RAVELIN_FULL:-0}" = 0 ] || POINTS=108

ns_up || die "network namespaces could not be made"
appliance_config "signer: {server_key: ec-p256}
enrol: {listen: 10.77.1.1}" || die "configuration"
FAULTS=$BUILD/tests/scenario/libfaultfs.so
ASAN=$(ldd "$BUILD/controlplane/ravelin-controlplane" | awk '/libasan/ {print $3}')
BROKEN=$WORK/broken # what fails, as faultfs.c reads it
controlplane() {
	LD_PRELOAD="${ASAN:+$ASAN }$FAULTS" FAULTFS_WHEN=$BROKEN FAULTFS_SAID=$WORK/fired FAULTFS_PATH=$WORK/state/store daemon controlplane
	wait_for 60 is_up || die "the controlplane did not come up: $(tail -n 3 "$WORK/controlplane.log")"
}
is_up() { ctl_holds status 'has("registered")'; }
daemon signer
controlplane
ctl utils ctl set-cluster mixed-mode >/dev/null || die "mixed mode"
B=$(sc_phone_name 2)
ctl device add "$B" --mode nonsecure --line 1002 >/dev/null || die "device"
CA=$WORK/state/signer/ca.pem
FLASH=$WORK/flash
mkdir "$FLASH"
sim() {
	in_phone timeout -k 2 90 "$SIM/ravelin-capfsim" --server 10.77.1.1 --ca "$CA" --name "$B" --flash "$FLASH" "$@" >"$WORK/$B.json" 2>>"$WORK/capfsim.log"
}
set_op() { ctl capf set "$B" --op install --auth null --key ec-p256 >/dev/null 2>"$WORK/set.err"; }
show() { ctl -j capf show "$B" >"$WORK/show.json" 2>/dev/null && [ -s "$WORK/show.json" ]; }
flash() { "$SIM/ravelin-capfsim" --holds --name "$B" --flash "$FLASH"; }
# differs WHAT: said, and where the end is counted
differs() { echo "point $i ($op $err at $at for $count): $1: has ${have:-nothing}, $(cat "$WORK/$B.json") $(cat "$WORK/show.json")" >>"$WORK/differ"; }

# what fails: operation and error, at which call of the session, for how many
list=()
for at in 1 2 3 4 6 9; do
	for count in 1 3 100000; do
		for what in "sync ENOSPC" "sync EIO" "write ENOSPC" "write EIO" "all EIO" "short EIO"; do list+=("$what $at $count"); done
	done
done

step "$POINTS faults"
hit=0 told=0 refused=0 kills=0 nothing=0
: >"$WORK/differ"
for ((i = 0; i < POINTS; i++)); do
	# an odd step through all of them, so that few points meet each kind
	read -r op err at count <<<"${list[$((i * 13 % ${#list[@]}))]}"
	wait_for 20 set_op || { bad "an operation after point $i" "$(cat "$WORK/set.err")"; break; }
	rm -f "$WORK/fired"
	had=$(flash)
	echo "$op $err $at $count" >"$BROKEN.new" && mv "$BROKEN.new" "$BROKEN"
	sim --timeout-ms 8000
	reason=$(jq .reason "$WORK/$B.json")
	have=$(flash)
	if [ $((i % 3)) = 0 ]; then # what it was told must be on the disk, and not in memory
		kill -9 "$(daemon_pid controlplane)"
		wait "$(daemon_pid controlplane)" 2>/dev/null
		rm -f "$BROKEN"
		controlplane
		kills=$((kills + 1))
	fi
	rm -f "$BROKEN"
	[ ! -s "$WORK/fired" ] || hit=$((hit + 1))
	wait_for 20 show || { bad "an answer after point $i"; break; }
	if [ "$reason" = 1 ]; then
		told=$((told + 1))
		[ "$at $count" != "1 100000" ] || [ "$op" = short ] || differs "it was told that it is done, by a disk that took nothing"
		jq -e ".status == \"Install/Upgrade successful\" and any(.certificates[]; .serial == \"$have\" and .state == \"held\")" "$WORK/show.json" \
			>/dev/null || differs "it was told that it is done"
	else
		refused=$((refused + 1))
		[ "$at $count" != "1 100000" ] || nothing=$((nothing + 1))
		jq -e '.status == "Install/Upgrade pending" or .status == "Install/Upgrade successful"' "$WORK/show.json" >/dev/null || differs "the operation is lost"
		jq -e '.attempts <= 1' "$WORK/show.json" >/dev/null || differs "it cost attempts"
	fi
	[ -z "$have" ] || jq -e "any(.certificates[]; .serial == \"$have\" and (.state | test(\"offered|held|superseded\")))" "$WORK/show.json" >/dev/null ||
		differs "what it has is not known, or refused"
	[ "$reason" = 1 ] || [ "$have" != "$had" ] || jq -e '.status == "Install/Upgrade pending"' "$WORK/show.json" >/dev/null ||
		differs "done, and the phone has nothing new"
	# it comes again, as phones do: then there is one truth
	for try in 1 2 3 4 5 6 7 8; do
		if jq -e '.status == "Install/Upgrade pending"' "$WORK/show.json" >/dev/null; then
			sim
			have=$(flash)
			wait_for 20 show
		else
			break
		fi
		[ "$(jq .reason "$WORK/$B.json")" = 1 ] || sleep 0.5
	done
	[ -n "$have" ] && [ "$(jq -r '[.certificates[] | select(.state == "held") | .serial] | join(",")' "$WORK/show.json")" = "$have" ] ||
		differs "at the end"
done
say "$POINTS faults, $hit of them hit something, $told sessions were done all the same, $refused came to nothing, $kills kills"
[ ! -s "$WORK/differ" ] && ok "no phone's idea of its LSC is another than ours" || bad "ideas that differ" "$(wc -l <"$WORK/differ"): $(head -c 1500 "$WORK/differ")"
check "most of the faults hit something ($hit)" test $hit -ge $((POINTS / 2))
check "some of them ended a session ($refused)" test $refused -ge $((POINTS / 6))
check "some met a disk that took nothing at all ($nothing)" test $nothing -gt 0
LINES=$(wc -l <"$WORK/controlplane.log")
check "it is logged, not too often ($LINES lines)" test "$LINES" -lt $((200 + POINTS * 40))
soon_ctl "all is well at the end" 20 "show alarms" 'all(.[]; .id | test("store") | not)'
kill "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)"
check "it stops cleanly" test $? = 0
sc_end
