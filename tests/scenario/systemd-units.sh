#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The units: systemd finds no fault with them, their exposure stays under our limits, and the signer makes no
# system call that its unit would refuse (compared with a trace of a whole life of it). Without systemd-analyze
# there is nothing to check with: said, and passed. RAVELIN_BUILD: build directory (default: build/).
# May run beside another.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
units=$here/../../config/systemd
build=${RAVELIN_BUILD:-$here/../../build}
command -v systemd-analyze >/dev/null || {
	echo "systemd-units: no systemd-analyze here, nothing checked"
	exit 0
}
top=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-units.XXXXXX")
# strace that ends lets its program go on: that is what has to be ended.
trap '[ ! -s "$top/trace" ] || kill -9 "$(awk "END { print \$1 }" "$top/trace")" 2>/dev/null || true; rm -rf "$top"' EXIT
die() {
	echo "error: $*" >&2
	exit 1
}

# The programs are not installed here: any that exists stands in for them.
limits="signer:2.0 controlplane:2.0 dataplane:4.0"
for l in $limits; do
	unit=$top/ravelin-${l%:*}.service
	sed -e 's#/usr/bin/ravelin-[a-z]*#/bin/true#' -e '/^Documentation/d' "$units/$(basename "$unit")" >"$unit"
done
for l in $limits; do
	unit=$top/ravelin-${l%:*}.service
	systemd-analyze verify "$unit" >"$top/verify" 2>&1 || die "$(basename "$unit"): $(cat "$top/verify")"
	if grep "^$unit\|ravelin-" "$top/verify"; then die "$(basename "$unit"): see above"; fi
	score=$(systemd-analyze security --offline=yes "$unit" | sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p')
	[ -n "$score" ] || die "$(basename "$unit"): no exposure level"
	awk -v s="$score" -v l="${l#*:}" 'BEGIN { exit !(s <= l) }' || die "$(basename "$unit"): exposure $score, limit ${l#*:}"
	echo "$(basename "$unit"): exposure $score"
done

# SystemCallFilter= of the signer, line by line as systemd applies it.
expand() {
	local w
	for w in "$@"; do
		case $w in
		@*)
			local -a in
			mapfile -t in < <(systemd-analyze syscall-filter "$w" | sed -n 's/^    \([@a-z0-9_-]*\).*/\1/p')
			expand "${in[@]}"
			;;
		*) echo "$w" ;;
		esac
	done
}
: >"$top/allowed"
while IFS= read -r line; do
	case $line in
	"~"*)
		expand ${line#"~"} | sort -u >"$top/minus"
		sort -u "$top/allowed" | comm -23 - "$top/minus" >"$top/next"
		;;
	*) { cat "$top/allowed" && expand $line; } | sort -u >"$top/next" ;;
	esac
	mv "$top/next" "$top/allowed"
done < <(sed -n 's/^SystemCallFilter=//p' "$units/ravelin-signer.service")
[ "$(wc -l <"$top/allowed")" -gt 150 ] || die "the filter was not understood"

cat >"$top/ravelin.yaml" <<YAML
paths: {state: $top/state, run: $top/run}
signer: {server_key: ec-p256}
YAML
for _ in first second; do
	: >"$top/log"
	strace -f -o "$top/trace" "$build/pki/signer/ravelin-signer" -c "$top/ravelin.yaml" 2>"$top/log" &
	for _ in $(seq 6000); do
		if grep -q event=ready "$top/log"; then break; fi
		sleep 0.02
	done
	# a client that asks, then hangs up
	/usr/bin/python3 - "$top/run/signer.sock" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
s.send(bytes([0, 1, 0, 1]) + bytes(8))
assert len(s.recv(1000)) > 12
PY
	kill -TERM "$(awk 'END { print $1 }' "$top/trace")"
	wait
	cat "$top/trace" >>"$top/traces"
	: >"$top/trace"
done
sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$top/traces" | sort -u >"$top/used"
[ "$(wc -l <"$top/used")" -gt 20 ] || die "the trace was not understood"
# Sanitizers make calls of their own.
ldd "$build/pki/signer/ravelin-signer" | grep -q libasan || {
	refused=$(comm -23 "$top/used" "$top/allowed" | tr '\n' ' ')
	[ -z "$refused" ] || die "the signer's unit would refuse: $refused"
	echo "ravelin-signer.service: $(wc -l <"$top/used") system calls used, all allowed"
}
