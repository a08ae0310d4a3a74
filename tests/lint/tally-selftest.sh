#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Shows that ./check fails when something fails: its counting (scripts/tally.sh) over made-up scenarios, suites and fuzz targets. What
# fails twice fails; what fails once passes and is named; four failures and full runs have no second try; a fuzz target that ran too
# little fails. Prints what is wrong; exit 1 if anything is.
set -u
cd "$(dirname "$0")/../.." || exit 2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
bad=0

# Made up: good passes, bad fails, hang does not end, flakyN fails the first time. All say how often they ran.
cat >"$dir/what" <<'SH'
name=$(basename "$1" .sh)
echo run >>"$RUNS/$name"
echo "$name says something"
case $name in
good) exit 0 ;;
bad) exit 1 ;;
hang) sleep 1000 ;;
flaky*) [ "$(wc -l <"$RUNS/$name")" -gt 1 ] ;;
esac
SH
mkdir "$dir/bin"
# meson test ... [NAME]: says what meson 1.0 says of the suites in $SUITES, or of the one that is named.
cat >"$dir/bin/meson" <<'SH'
#!/usr/bin/env bash
only=${*: -1}
n=0 ok=0
for s in $SUITES; do
	case $only in good | bad | flaky*) [ "$s" = "$only" ] || continue ;; esac
	n=$((n + 1))
	if bash "$WHAT" "$s" >/dev/null; then
		printf '%3d/%d ravelin:unit / %-12s OK                0.17s\n' $n 9 "$s"
		ok=$((ok + 1))
	else
		printf '%3d/%d ravelin:unit / %-12s FAIL              0.17s   exit status 1\n' $n 9 "$s"
	fi
done
printf '\nOk:                 %d\nFail:               %d\n' $ok $((n - ok))
[ $ok = $n ]
SH
chmod +x "$dir/bin/meson"

# tally FULL KIND NAME...: what check would print, in $dir/out; its exit status. A name with + says that it may run beside another.
tally() {
	local full=$1 kind=$2 n
	shift 2
	rm -rf "$dir/runs" "$dir/in" "$dir/logs"
	mkdir "$dir/runs" "$dir/in" "$dir/logs"
	for n in "$@"; do
		{
			[ "${n#+}" = "$n" ] || echo '# May run beside another.'
			echo ". '$dir/what' '${n#+}'"
		} >"$dir/in/${n#+}.sh"
	done
	RUNS=$dir/runs WHAT=$dir/what SUITES=${*#+} PATH=$dir/bin:$PATH FULL=$full LOGS=$dir/logs RAVELIN_SCENARIO_S=${LIMIT:-100} IN=$dir/in KIND=$kind \
		bash -uc '. scripts/tally.sh
			if [ "$KIND" = suites ]; then run_units x; else run_scenarios "$IN"; fi
			finish' >"$dir/out" 2>&1
}
expect() { # TEXT STATUS: of the tally that just ended
	[ $? = "$2" ] || wrong "$1: the exit status is not $2"
	what=$1
}
wrong() {
	echo "tally: $1"
	sed 's/^/	/' "$dir/out"
	bad=1
}
says() { grep -qF -- "$1" "$dir/out" || wrong "$what: does not say '$1'"; }
never() { ! grep -qF -- "$1" "$dir/out" || wrong "$what: says '$1'"; }
ran() { [ "$(wc -l <"$dir/runs/$1")" = "$2" ] || wrong "$what: $1 ran $(wc -l <"$dir/runs/$1") times, not $2"; }

for kind in scenarios suites; do
	tally 0 $kind good
	expect "$kind, all good" 0
	says '1 passed, 0 failed'
	never again

	tally 0 $kind good +flaky1 flaky2 flaky3
	expect "$kind, three that fail once" 0
	says '  FAIL  flaky1  (first try)'
	says '  again flaky1  (first try failed, log above)'
	says '  ok    flaky1  (second try'
	says 'passed at the second try: '
	says '4 passed, 0 failed'
	ran flaky1 2
	ran good 1

	tally 0 $kind good flaky1 bad
	expect "$kind, one that always fails" 1
	says '  FAIL  bad  (first try)'
	says 'failed: bad'
	says 'passed at the second try: flaky1'
	says '2 passed, 1 failed'
	ran bad 2

	tally 0 $kind good flaky1 flaky2 +flaky3 +flaky4
	expect "$kind, four that fail" 1
	says '  --    4 '$kind' failed: no second try for so many'
	says '1 passed, 4 failed'
	ran flaky1 1

	tally 1 $kind good flaky1
	expect "$kind, a full run" 1
	never again
	says '1 passed, 1 failed'
	ran flaky1 1
done
tally 0 scenarios good bad
expect 'the logs' 1
[ "$(grep -c '| bad says something' "$dir/out")" = 2 ] || wrong "$what: both tries' logs are not printed"
LIMIT=2 tally 0 scenarios +hang
expect 'one that does not end' 1
says 'stopped after'
says 'failed: hang'
tally 0 suites
expect 'no suites' 1
says 'failed: no suite ran'

# A made-up fuzz target: how often good, dialplan (slow by name), late (too little at the first try), lazy and short run; crash dies, mute
# says nothing.
cat >"$dir/fuzz" <<'SH'
#!/usr/bin/env bash
name=${0##*/fuzz_}
runs=5000
for a in "$@"; do case $a in -runs=-1) ;; -runs=*) runs=${a#-runs=} ;; esac; done
echo run >>"$RUNS/$name"
case $name in
crash) exit 77 ;;
mute) exit 0 ;;
late) [ "$(wc -l <"$RUNS/$name")" -gt 1 ] || runs=10 ;;
lazy) runs=10 ;;
short) runs=$((runs - 1)) ;;
esac
echo "stat::number_of_executed_units: $runs"
SH
chmod +x "$dir/fuzz"
fuzz() { # FULL RUNS NAME...: what check would print, in $dir/out; its exit status
	local full=$1 runs=$2 n
	shift 2
	rm -rf "$dir/runs" "$dir/in" "$dir/logs"
	mkdir "$dir/runs" "$dir/in" "$dir/logs"
	for n in "$@"; do ln -s ../fuzz "$dir/in/fuzz_$n"; done
	RUNS=$dir/runs FULL=$full LOGS=$dir/logs IN=$dir/in HOW=$runs CORPUS=$dir/corpus \
		bash -uc '. scripts/tally.sh
			FUZZ_CORPUS=$CORPUS
			run_fuzz "$IN" 1 $HOW
			finish' >"$dir/out" 2>&1
}
fuzz 0 '' good late dialplan short
expect 'fuzz targets, all good' 0
says '  ok    fuzz-good  (5000 runs)'
says '4 passed, 0 failed'
ran good 1
ran late 2

fuzz 0 '' good lazy crash mute
expect 'fuzz targets, three bad' 1
says '1 passed, 3 failed'
says '  FAIL  fuzz-lazy: ended by time after 10 runs of 1001'
says 'failed: fuzz-crash'
says 'failed: fuzz-mute'
ran lazy 2
ran crash 1

fuzz 1 70000 good dialplan short
expect 'fuzz targets, a full run' 1
says '  ok    fuzz-good  (70000 runs)'
says '  ok    fuzz-dialplan  (7000 runs)'
says '  FAIL  fuzz-short: ended by time after 69999 runs of 70000'
says '2 passed, 1 failed'
ran short 1

fuzz 0 ''
expect 'no fuzz targets' 1
says 'failed: no fuzz target was built'

exit $bad
