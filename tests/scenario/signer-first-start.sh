#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The signer's first start, killed with SIGKILL: at random moments (2; RAVELIN_FULL: 12), and at fsyncs and renames from the first to
# the last (10 of 75; RAVELIN_FULL: all).
# After each kill the next start must complete what is missing and keep what was there; the start after that
# changes nothing. Checked with openssl(1). RAVELIN_BUILD: build directory (default: build/ of this repository).
# Needs strace. 000:P0-03, P0-06; 001:P1-037, P1-040; 004a:PKI-06, PKI-12; 004b:PKI-01 to PKI-03.
# Rows: 000:R-03; 001:P1-038; 004a:WEB-04; 004b:R-32; 004c:CA-01.
# May run beside another; takes long.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${RAVELIN_BUILD:-$here/../../build}
signer=$build/pki/signer/ravelin-signer
[ -x "$signer" ] || {
	echo "error: $signer is not there: build first, or set RAVELIN_BUILD" >&2
	exit 1
}
top=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-first-start.XXXXXX")
pid=
exec 3>&2
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true; rm -rf "$top"' EXIT
die() {
	echo "error: $*" >&3
	[ ! -f "$top/log" ] || tail -20 "$top/log" >&3
	exit 1
}

cat >"$top/ravelin.yaml" <<YAML
paths: {state: $top/state, run: $top/run}
signer: {server_key: ec-p256, keys: [{identity: CAPF, key: ec-p256}]}
YAML

# What must never change once it is there. (NAME.cert.pem, ca.pem and made follow from the rest.)
sums() { (cd "$top/state/signer" 2>/dev/null && sha256sum kek ./*.key.pem 2>/dev/null) || true; }

start() { # until it is ready
	: >"$top/log" # the last one's "ready" is not this one's
	"$signer" -c "$top/ravelin.yaml" 2>"$top/log" &
	pid=$!
	for _ in $(seq 6000); do
		if grep -q event=ready "$top/log"; then return 0; fi
		kill -0 "$pid" 2>/dev/null || die "the signer ended by itself"
		sleep 0.02
	done
	die "the signer is not ready after two minutes"
}
stop() {
	kill -TERM "$pid"
	wait "$pid" || die "the signer ended with $? on SIGTERM"
	pid=
}

kills=0 partial=0
declare -A seen=()
after_kill() { # of a first start: complete, check, start again
	local before after again d=$top/state/signer
	kills=$((kills + 1))
	before=$(sums)
	seen[$(wc -l <<<"$before")$([ -e "$d/made" ] && echo made || true)]=1
	[ -e "$d/made" ] || partial=$((partial + 1))
	start
	stop
	after=$(sums)
	while IFS= read -r line; do
		[ -z "$line" ] || grep -qxF "$line" <<<"$after" || die "changed by the start after a kill: $line"
	done <<<"$before"
	[ "$(wc -l <<<"$after")" = 13 ] || die "not complete: $after"
	[ "$(stat -c %s:%a "$d/kek")" = 32:400 ] || die "the KEK is $(stat -c %s:%a "$d/kek")"
	[ -z "$(find "$d" -name '.tmp-*')" ] || die "left behind: $(find "$d" -name '.tmp-*')"
	for c in CallManager TVS HTTPS TFTP-EC CAPF-TLS IPsec; do
		openssl verify -x509_strict -CAfile "$d/ca.pem" -purpose sslserver "$d/$c.cert.pem" >/dev/null ||
			die "the $c certificate does not verify"
	done
	for c in CallManager TVS HTTPS TFTP TFTP-EC CAPF IPsec; do # each is its own root
		openssl verify -x509_strict -CAfile "$d/$c.cert.pem" "$d/$c.cert.pem" >/dev/null || die "the $c certificate is not self-signed"
	done
	openssl verify -x509_strict -CAfile "$d/CAPF.cert.pem" "$d/CAPF.cert.pem" >/dev/null || die "CAPF does not verify"
	[ "$(grep -c 'BEGIN CERT' "$d/ca.pem")" = 6 ] || die "ca.pem has not six certificates"
	for k in "$d"/*.key.pem; do
		grep -q 'BEGIN ENCRYPTED PRIVATE KEY' "$k" || die "$k is not encrypted"
	done
	start
	stop
	again=$(sums)
	[ "$after" = "$again" ] || die "changed by a start with nothing to do"
	rm -rf "$top/state" "$top/run"
}

# A kill costs three starts, two of which make RSA keys: half a second of a core each with ASan.
full=${RAVELIN_FULL:-0}
RANDOM=20
for _ in $(seq $([ "$full" = 0 ] && echo 2 || echo 12)); do
	"$signer" -c "$top/ravelin.yaml" 2>"$top/log" &
	pid=$!
	sleep "0.$(printf %03d $((RANDOM % 500)))"
	kill -9 "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	pid=
	after_kill
done

# At every system call that makes something durable: before the file's bytes, its name, its directory. Each of
# KEK and 12 identities (renameat2: they must be new), 12 certificates, the list and ca.pem (renameat) has two fsyncs. Not each
# of them in a row: the steps share no divisor with what one identity takes.
at_calls="fsync:50:11 renameat2:12:5 renameat:13:9"
[ "$full" = 0 ] || at_calls="fsync:50:1 renameat2:12:1 renameat:13:1"
exec 2>/dev/null # bash reports each process that was killed
for at in $at_calls; do
	IFS=: read -r call want by <<<"$at"
	n=$((1 - by))
	while :; do
		n=$((n + by))
		: >"$top/log"
		strace -f -o "$top/trace" -e trace="$call" -e inject="$call":signal=SIGKILL:when="$n" \
			"$signer" -c "$top/ravelin.yaml" 2>"$top/log" &
		pid=$!
		# Fewer calls than n: it becomes ready, and all of them have been tried.
		ready=
		for _ in $(seq 6000); do
			kill -0 "$pid" || break
			if grep -q event=ready "$top/log"; then
				ready=1
				kill -TERM "$(awk 'NR == 1 { print $1 }' "$top/trace")"
				break
			fi
			sleep 0.02
		done
		wait "$pid" || true
		pid=
		[ -z "$ready" ] || break
		grep -q 'killed by SIGKILL' "$top/trace" || die "$call $n: not killed: $(tail -3 "$top/trace")"
		after_kill
	done
	rm -rf "$top/state" "$top/run"
	[ "$n" -gt "$want" ] || die "only $((n - by)) kills at $call, $want or more were expected"
done
# The kills must have hit the middle, not only before and after.
[ ${#seen[@]} -ge 6 ] || die "the kills met only ${#seen[@]} different states"
echo "signer-first-start: $kills kills, $partial in the middle, ${#seen[@]} different states left by them: all completed, nothing replaced"
