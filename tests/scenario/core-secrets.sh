#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A forced core dump of any process holds no key. Each daemon is crashed with its core limit raised by root (no file appears), and
# before that a core is forced from outside by gdb's gcore, which honours what a process keeps out of dumps. The cores
# are searched for every private number of every identity, and for the key-encryption key. The same search in all memory of the signer
# and of the controlplane finds keys: so it would find them. (Whoever is root can read a process's memory; what is shown is that
# a dump does not carry keys away.)
# RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# May run beside another.
set -u
SC_NAME=core-secrets
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

# A sanitizer is not to take the crashes for its own.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0"
ns_up || die "network namespaces could not be made"
sc_phones 1
appliance_config || die "configuration"
mkdir "$WORK/cwd"
cd "$WORK/cwd" || die "no directory"
ulimit -c unlimited 2>/dev/null || true
appliance_start || die "the appliance did not come up"
sc_device 1 encrypted || die "device 1"

step "keys are in use"
phone 1 --duration 60 --timeout 30 &
PHONE=$!
soon_ctl "a phone registers over TLS" 8 "show registrations" "any(.[]; .device == \"$(sc_phone_name 1)\" and .transport == \"tls\")"

step "cores forced from outside"
for d in signer controlplane dataplane; do
	pid=$(daemon_pid $d)
	timeout 300 gdb -nx -batch -p "$pid" -ex "gcore $WORK/$d.core" >"$WORK/gdb-$d.log" 2>&1
	check "$d: gdb makes a core" test -s "$WORK/$d.core"
done
python3() { command /usr/bin/python3 "$@"; }
python3 "$RAVELIN_TOP/tests/scenario/core_secrets.py" "$WORK/state/signer" "$WORK"/*.core >"$WORK/cores.json" 2>"$WORK/cores.err" ||
	bad "the search" "$(cat "$WORK/cores.err")"
check_json "every identity's numbers and the KEK were looked for" "$WORK/cores.json" '.needles > 60'
for d in signer controlplane dataplane; do
	check_json "$d: its core holds none of them" "$WORK/cores.json" ".found[\"$d.core\"] == []"
done
python3 "$RAVELIN_TOP/tests/scenario/core_secrets.py" "$WORK/state/signer" "signer.whole=$(daemon_pid signer)" \
	"controlplane.whole=$(daemon_pid controlplane)" >"$WORK/whole.json" 2>"$WORK/cores.err" ||
	bad "the search" "$(cat "$WORK/cores.err")"
check_json "the same search finds the signer's keys in its whole memory" "$WORK/whole.json" \
	'.found["signer.whole"] | any(startswith("SAST1.")) and any(startswith("CAPF."))'
check_json "and the server's key that was handed over in the controlplane's" "$WORK/whole.json" \
	'.found["controlplane.whole"] | any(startswith("CallManager."))'
check_json "but no key there that stays in the signer, and no KEK" "$WORK/whole.json" \
	'.found["controlplane.whole"] | all((startswith("SAST") or startswith("CAPF.") or startswith("TFTP.") or startswith("ITLRecovery") or
		 . == "kek" or . == "passphrase" or . == "seal-key") | not)'
check_json "nor is the KEK itself anywhere in the signer, once it is read" "$WORK/whole.json" \
	'.found["signer.whole"] | any(. == "kek") | not'
rm -f "$WORK"/*.core
phone_signal 1 TERM 2>/dev/null
wait $PHONE

step "crashes"
for d in dataplane controlplane signer; do
	pid=$(daemon_pid $d)
	check "$d: its core limit is 0" grep -qE '^Max core file size +0 +0 ' /proc/"$pid"/limits
	check "$d: its dump filter is empty" grep -qx 00000000 /proc/"$pid"/coredump_filter
	prlimit --pid "$pid" --core=unlimited 2>/dev/null || say "      (its core limit cannot be raised here: the rest must hold)"
	kill -SEGV "$pid"
	check "$d: crashes" wait_for 5 eval "! kill -0 $pid"
done
cores=$(find "$WORK" /tmp/core* -maxdepth 2 -name 'core*' -newer "$WORK/ravelin.yaml" ! -name '*.json' ! -name '*.err' ! -path '*/ravelin-core-secrets*' 2>/dev/null; find "$WORK/cwd" "$WORK/run" "$WORK/state" -name 'core*')
check "no core file was written" test -z "$cores"
sc_end
