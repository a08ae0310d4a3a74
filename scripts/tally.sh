# SPDX-License-Identifier: BSD-3-Clause
# How ./check runs and counts suites, fuzz targets and scenarios: sourced by check, and by tests/lint/tally-selftest.sh, which shows
# that what fails fails. The caller sets FULL (0, 1) and LOGS, a folder.
#
# Scenarios are real daemons, phones and gateways on a machine whose clock others share. What failed is run once more, alone, when
# the others are done; both outcomes are printed, and what passed only then is named at the end. More than AGAIN_MOST failures are no
# matter of the machine: then, and in a full run, there is no second try.

AGAIN_MOST=3
LANES=$(($(nproc) + 1)) # of what waits more than it computes
[ $LANES -le 8 ] || LANES=8
PASSED=0
FAILED=0
FAILURES=()
ONCE=()   # failed at the first try, second one to come
SECOND=() # passed at the second try
started=$(date +%s)

pass() {
	PASSED=$((PASSED + 1))
	printf '  ok    %s%s\n' "$1" "${2:+  ($2)}"
}
log_tail() { # LOG [LINES]
	[ -z "${1:-}" ] || tail -"${2:-40}" "$1" | sed 's/^/        | /'
}
fail() { # NAME [LOG]
	FAILED=$((FAILED + 1))
	FAILURES+=("$1")
	printf '  FAIL  %s\n' "$1"
	log_tail "${2:-}"
}
finish() {
	local f
	printf '\n%d s\n' $(($(date +%s) - started))
	for f in "${FAILURES[@]+"${FAILURES[@]}"}"; do printf 'failed: %s\n' "$f"; done
	[ ${#SECOND[@]} = 0 ] || printf 'passed at the second try: %s\n' "${SECOND[*]}"
	[ $FAILED -gt 0 ] && printf 'logs: %s\n' "$LOGS" || rm -rf "$LOGS"
	printf '%d passed, %d failed\n' $PASSED $FAILED
	[ $FAILED = 0 ] && [ $PASSED -gt 0 ]
	exit
}

# failed_once NAME [LOG]: the first try of what may be tried again; in a full run, the only one.
failed_once() {
	if [ "$FULL" = 1 ]; then
		fail "$@"
		return
	fi
	ONCE+=("$1")
	printf '  FAIL  %s  (first try)\n' "$1"
	log_tail "${2:-}"
}

# try_again KIND COMMAND: COMMAND NAME runs what failed once more and leaves its log in $LOGS/again-NAME.
try_again() {
	local name t
	if [ ${#ONCE[@]} -gt $AGAIN_MOST ]; then
		printf '  --    %d %s failed: no second try for so many\n' ${#ONCE[@]} "$1"
		for name in "${ONCE[@]}"; do fail "$name"; done
	else
		for name in "${ONCE[@]+"${ONCE[@]}"}"; do
			printf '  again %s  (first try failed, log above)\n' "$name"
			t=$(date +%s)
			if "$2" "$name"; then
				SECOND+=("$name")
				pass "$name" "second try, $(($(date +%s) - t)) s"
			else
				fail "$name" "$LOGS/again-$name"
			fi
		done
	fi
	ONCE=()
}

# meson_said LOG FAILED [PREFIX]: a pass, or what FAILED (fail, failed_once) makes of it, for each suite that 'meson test' ran.
meson_said() {
	local line name
	while IFS= read -r line; do
		name=$(sed -E 's/^ *[0-9]+\/[0-9]+ +//; s/ {2,}.*//; s/ (OK|FAIL|TIMEOUT|ERROR|SKIP|INTERRUPT).*//; s/.* \/ //' <<<"$line")
		case $line in
		*" OK "*) pass "${3:-}$name" ;;
		*) "$2" "${3:-}$name" ;;
		esac
	done < <(grep -E '^ *[0-9]+/[0-9]+ .* (OK|FAIL|TIMEOUT|ERROR|SKIP|INTERRUPT)' "$1")
	[ -z "$(grep -E '(FAIL|TIMEOUT|ERROR) ' "$1")" ] || tail -60 "$1"
	grep -qE '^Ok: +[1-9]' "$1" || fail "no suite ran" "$1"
}

# run_units BUILD [OPTION...]: all suites of the folder.
UNITS_IN=
units_again() {
	meson test -C "$UNITS_IN" --no-rebuild --print-errorlogs --num-processes 1 -t 4 "$1" >"$LOGS/again-$1" 2>&1 &&
		grep -qE '^Ok: +[1-9]' "$LOGS/again-$1"
}
run_units() {
	UNITS_IN=$1
	shift
	meson test -C "$UNITS_IN" --no-rebuild --print-errorlogs --num-processes "$LANES" "$@" >"$LOGS/unit" 2>&1
	meson_said "$LOGS/unit" failed_once
	try_again suites units_again
}

# run_fuzz FOLDER SECONDS [RUNS]: each fuzz_NAME in it over its corpus, two at a time, for so long; with RUNS until it has run so often, which
# it must within SECONDS. Without, it must run FUZZ_FEWEST times, and has ten times as long on a machine too slow for that.
FUZZ_FEWEST=1001
FUZZ_SLOW="dialplan" # some hundred runs a second: a tenth of RUNS
FUZZ_CORPUS=tests/fuzz/corpus
fuzz_runs() { # LOG: how many runs it says it did
	sed -n 's/^stat::number_of_executed_units: *//p' "$1" | grep -E '^[0-9]+$' || echo 0
}
fuzz_one() { # BINARY SECONDS RUNS LOGS: leaves NAME.rc, 'STATUS RUNS WANTED'
	local bin=$1 secs=$2 runs=$3 logs=$4 name=${1##*/fuzz_} dir t rc want=$FUZZ_FEWEST more=$(($2 * 10))
	case " $FUZZ_SLOW " in *" $name "*) [ "$runs" = -1 ] || runs=$((runs / 10)) ;; esac
	[ "$runs" = -1 ] || want=$runs more=
	dir=$(mktemp -d)
	mkdir -p "$FUZZ_CORPUS/$name"
	for t in $secs $more; do
		# Entropic's counting of rare features takes half of the time, and more of a target with many; without, more is found.
		ASAN_OPTIONS=detect_stack_use_after_return=1 "$bin" -max_total_time="$t" -runs="$runs" -timeout=25 -entropic=0 \
			-rss_limit_mb=1024 -artifact_prefix="$logs/$name-" -print_final_stats=1 "$dir" "$FUZZ_CORPUS/$name" >"$logs/fuzz-$name" 2>&1
		rc=$?
		[ $rc = 0 ] && [ "$(fuzz_runs "$logs/fuzz-$name")" -lt "$want" ] || break
	done
	echo "$rc $(fuzz_runs "$logs/fuzz-$name") $want" >"$logs/fuzz-$name.rc"
	rm -rf "$dir"
}
run_fuzz() {
	local n=0 f name rc runs want
	export FUZZ_FEWEST FUZZ_SLOW FUZZ_CORPUS
	export -f fuzz_one fuzz_runs
	ls "$1" | grep -E '^fuzz_[a-z0-9_]+$' | xargs -r -P 2 -I{} bash -c 'fuzz_one "$@"' - "$1/{}" "$2" "${3:--1}" "$LOGS"
	for f in "$LOGS"/fuzz-*.rc; do
		[ -e "$f" ] || break
		name=$(basename "$f" .rc)
		read -r rc runs want <"$f"
		if [ "$rc" = 0 ] && [ "$runs" -ge "$want" ]; then
			pass "$name" "$runs runs"
		elif [ "$rc" = 0 ]; then
			fail "$name: ended by time after $runs runs of $want"
		else
			fail "$name" "$LOGS/$name"
		fi
		n=$((n + 1))
	done
	[ $n -gt 0 ] || fail "no fuzz target was built"
}

# run_scenarios FOLDER. Those that judge what a burst or a stop of the machine would spoil (a thousand packets a second without a loss, a
# thread that calls nobody) are run one by one. The others, which say so in their head, mostly wait: side by side, those that take long first.
SCENARIOS_IN=
scenario_one() { # FILE LOG: 'NAME RESULT SECONDS'
	local t rc
	t=$(date +%s)
	timeout -k 10 "${RAVELIN_SCENARIO_S:-1800}" bash "$1" >"$2" 2>&1
	rc=$?
	[ $rc != 124 ] && [ $rc != 137 ] || echo "stopped after $(($(date +%s) - t)) s" >>"$2"
	echo "$(basename "$1" .sh) $rc $(($(date +%s) - t))"
}
scenario_said() {
	local name rc t
	while read -r name rc t; do
		if [ "$rc" = 0 ]; then pass "$name" "$t s"; else failed_once "$name" "$LOGS/$name"; fi
	done
}
scenario_again() {
	local name rc t
	read -r name rc t < <(scenario_one "$SCENARIOS_IN/$1.sh" "$LOGS/again-$1")
	[ "${rc:-1}" = 0 ]
}
run_scenarios() {
	local beside='^# May run beside another' n=$((PASSED + FAILED)) all s
	SCENARIOS_IN=$1
	export -f scenario_one
	scenario_said < <(for s in $(grep -L "$beside" "$1"/*.sh); do scenario_one "$s" "$LOGS/$(basename "$s" .sh)"; done)
	scenario_said < <({
		grep -l "$beside; takes long" "$1"/*.sh
		grep -l "$beside\.\$" "$1"/*.sh
	} | xargs -r -P "$LANES" -I{} bash -c 'scenario_one "$1" "$2/$(basename "$1" .sh)"' - {} "$LOGS")
	try_again scenarios scenario_again
	all=$(ls "$1"/*.sh | wc -l)
	[ $((PASSED + FAILED - n)) = "$all" ] || fail "$((PASSED + FAILED - n)) of $all scenarios ran"
}
