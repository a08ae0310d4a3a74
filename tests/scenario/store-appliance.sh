#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The whole controlplane killed with SIGKILL under ravelinctl: a device whose "device add" ended with 0 is there after the
# next start, and a table of phones is there up to the end of a piece. Then tables: errors by line, all or nothing, a dry
# run, and export, import and export again, which gives the same bytes.
#   KILLS (4; RAVELIN_FULL: 30)
# May run beside another.
SC_NAME=store-appliance
. "$(cd "$(dirname "$0")/../.." && pwd)/scripts/scenario.sh"
kills=${KILLS:-${RAVELIN_FULL:+30}}
kills=${kills:-4}

ns_up
appliance_config
answers() { ctl -j status >/dev/null 2>&1; }
start_cp() {
	daemon controlplane
	wait_for 30 answers || { tail -5 "$WORK/controlplane.log" >&2; die "the controlplane does not answer"; }
}
kill_cp() {
	local pid
	pid=$(daemon_pid controlplane)
	kill -9 "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
}
names() { ctl -j show devices | jq -r '.[].name' | sort; }
daemon signer
start_cp

# --- device add, killed ---
: >"$WORK/acked"
adder() { # ROUND WORKER: until the appliance is gone
	local i name
	for ((i = 0; ; i++)); do
		name=$(printf 'SEP%02X%02X%08X' "$1" "$2" "$i")
		ctl device add "$name" --mode nonsecure --line "$1$2$(printf %05d "$i")" >/dev/null 2>&1 || return 0
		echo "$name" >>"$WORK/acked.$2"
	done
}
for ((k = 1; k <= kills; k++)); do
	for w in 1 2 3; do
		: >"$WORK/acked.$w"
		adder "$k" "$w" &
		adders[w]=$!
	done
	wait_for 20 eval 'cat "$WORK"/acked.[123] | grep -q .' || bad "kill $k: some are acknowledged"
	sleep "$((RANDOM % 2)).$((RANDOM % 10))"
	kill_cp
	wait "${adders[@]}"
	cat "$WORK"/acked.[123] >>"$WORK/acked"
	now=$(cat "$WORK"/acked.[123] | wc -l)
	start_cp
	names >"$WORK/names"
	sort "$WORK/acked" | comm -23 - "$WORK/names" >"$WORK/lost"
	if [ "$now" -gt 0 ] && [ ! -s "$WORK/lost" ]; then
		ok "kill $k: $now devices were acknowledged, $(wc -l <"$WORK/acked") in all, none lost"
	else
		bad "kill $k: no acknowledged device is lost" "$now acknowledged, lost: $(head -3 "$WORK/lost" | tr '\n' ' ')"
	fi
done
# what was not acknowledged may be there, but whole: its number is a line of it
check_ctl "every device has its line" "show devices" 'all(.[]; (.lines | length) == 1)'
lines=$(ctl -j show lines | jq length)
if [ "$lines" = "$(wc -l <"$WORK/names")" ]; then ok "as many numbers as devices ($lines)"; else bad "as many numbers as devices" "$lines"; fi

# --- a table, killed ---
awk 'BEGIN { print "name,mode,description,line1"; for (i = 0; i < 20000; i++) printf "SEPF0%010X,nonsecure,\"row, %d\",8%06d\n", i, i, i }' >"$WORK/big.csv"
# The table comes through a pipe, a piece at a time, and its last tenth only when the appliance is gone: however fast the
# machine, the kill finds the import unfinished.
feed() {
	local row
	for ((row = 1; row < 18000; row += 500)); do
		sed -n "$row,$((row + 499))p" "$WORK/big.csv"
		sleep 0.02
	done
	until [ -e "$WORK/killed" ]; do sleep 0.05; done
	sed -n "$row,\$p" "$WORK/big.csv"
}
feed 2>/dev/null | ctl import phones - >"$WORK/big.out" 2>&1 &
importer=$!
some_rows() { [ "$(ctl -j export phones 2>/dev/null | grep -c ^SEPF0)" -gt 500 ]; }
wait_for 20 some_rows || bad "rows of a table arrive"
kill_cp
: >"$WORK/killed"
wait $importer # the status is that of ravelinctl, the pipe's last
rc=$?
start_cp
names | grep ^SEPF0 >"$WORK/rows"
have=$(wc -l <"$WORK/rows")
last=$(tail -1 "$WORK/rows")
if [ $rc != 0 ] && [ "$have" -gt 500 ] && [ "$have" -lt 20000 ] && [ "$last" = "$(printf 'SEPF0%010X' $((have - 1)))" ]; then
	ok "killed in the middle of an import: the first $have of 20000 rows are there, without a gap"
else
	bad "killed in the middle of an import" "exit $rc, $have rows, last $last: $(cat "$WORK/big.out")"
fi
check "the same table again, with --replace" ctl import phones "$WORK/big.csv" --replace
check_ctl "all of it is there" "show devices" '[.[] | select(.name | startswith("SEPF0"))] | length == 20000'

# --- tables ---
cat >"$WORK/some.csv" <<'CSV'
name,mode,line1
SEP00000000AA01,encrypted,77001
SEP00000000AA02,secret,77002
SEP00000000AA03,nonsecure,77001
CSV
refused() { # OPTIONS...: exit 1
	ctl import phones "$WORK/some.csv" "$@" >"$WORK/some.out" 2>&1
	[ $? = 1 ]
}
check "a dry run finds what is wrong" refused --dry-run
check "and says where" grep -q '3 .*mode .*"secret" is not' "$WORK/some.out"
check "all or nothing: refused" refused --all-or-nothing
check_ctl "and nothing is there" "show devices" 'all(.[]; .name | startswith("SEP00000000AA") | not)'
check "without it the right line is taken" refused
check_ctl "that one only" "show devices" '[.[] | select(.name | startswith("SEP00000000AA")) | .name] == ["SEP00000000AA01"]'
ctl export phones --out "$WORK/a.csv"
appliance_stop_one() {
	kill "$(daemon_pid controlplane)"
	wait "$(daemon_pid controlplane)" 2>/dev/null
}
appliance_stop_one
rm -rf "$WORK/state/store"
start_cp
check "the export is read by an empty appliance" ctl import phones "$WORK/a.csv" --all-or-nothing
ctl export phones >"$WORK/b.csv"
if [ "$(wc -l <"$WORK/a.csv")" -gt 20000 ] && cmp -s "$WORK/a.csv" "$WORK/b.csv"; then
	ok "which exports the same $(wc -l <"$WORK/b.csv") lines"
else
	bad "which exports the same lines" "$(wc -l "$WORK/a.csv" "$WORK/b.csv" | tr '\n' ' ')"
fi
sc_end
