#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What the running signer gives away: no core dump, no memory to a process of its own user, no key in what it
# wrote, no socket to others; and that its key memory is locked and left out of dumps. Then one identity of each
# kind is used against openssl(1). RAVELIN_BUILD: build directory (default: build/ of this repository). Needs
# root, to run as an ordinary user.
# May run beside another.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "${RAVELIN_BUILD:-$here/../../build}" && pwd)
[ -x "$build/pki/signer/ravelin-signer" ] || {
	echo "error: $build/pki/signer/ravelin-signer is not there: build first, or set RAVELIN_BUILD" >&2
	exit 1
}
[ "$(id -u)" = 0 ] || {
	echo "error: run this as root" >&2
	exit 1
}
top=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-hardening.XXXXXX")
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true; rm -rf "$top"' EXIT
die() {
	echo "error: $*" >&2
	tail -20 "$top/log" >&2 || true
	exit 1
}
user="setpriv --reuid=65534 --regid=65534 --clear-groups" # becomes the program: $! is its process

# The build may lie where another user cannot reach it.
cp "$build/pki/signer/ravelin-signer" "$top/signer"
chmod 755 "$top" "$top/signer"
mkdir "$top/home"
chown 65534:65534 "$top/home"
cat >"$top/ravelin.yaml" <<YAML
paths: {state: $top/home/state, run: $top/home/run}
YAML
: >"$top/log"
cd "$top/home"
ulimit -c unlimited 2>/dev/null || true
$user "$top/signer" -c "$top/ravelin.yaml" 2>"$top/log" &
pid=$!
for _ in $(seq 6000); do
	if grep -q event=ready "$top/log"; then break; fi
	kill -0 $pid 2>/dev/null || die "the signer ended by itself"
	sleep 0.02
done

[ "$(awk '/^Max core file size/ { print $5 $6 }' /proc/$pid/limits)" = 00 ] || die "core dumps are not limited to 0"
[ "$(awk '/^NoNewPrivs/ { print $2 }' /proc/$pid/status)" = 1 ] || die "NoNewPrivs is not set"
# Not dumpable: a process of the same user may neither read its memory nor trace it. The same process that is
# dumpable can be read, so the test can fail.
$user sleep 60 &
other=$!
sleep 0.2
$user cat /proc/$other/environ >/dev/null 2>&1 || die "the control process cannot be read either"
kill $other
if $user cat /proc/$pid/environ >/dev/null 2>&1; then die "another process of the same user can read its memory"; fi
if $user dd if=/proc/$pid/mem bs=1 count=1 of=/dev/null 2>/dev/null; then die "its memory can be opened"; fi
# lo: locked, dd: not in dumps
awk '/^VmFlags/ && / lo/ && / dd/ { found = 1 } END { exit !found }' /proc/$pid/smaps || die "no memory is locked and left out of dumps"
[ "$(stat -c %a "$top/home/run/signer.sock")" = 600 ] || die "the socket is open to others"
[ "$(stat -c %a "$top/home/run")" = 700 ] && [ "$(stat -c %a "$top/home/state/signer")" = 700 ] || die "a directory is open to others"
if grep -rlE 'BEGIN (RSA |EC )?PRIVATE KEY' "$top/home"; then die "a private key lies in clear"; fi
kek=$(od -An -tx1 -v "$top/home/state/signer/kek" | tr -d ' \n')
if grep -q "$kek" "$top/log"; then die "the KEK is in the log"; fi

# A crash leaves nothing behind.
kill -ABRT $pid
wait $pid 2>/dev/null && die "it survived SIGABRT" || true
pid=
if [ -n "$(find "$top/home" -name 'core*')" ]; then die "a core file was written"; fi

# The passphrase follows from the KEK by HKDF: a key can be got back with openssl(1) alone.
pass=$(openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:"$kek" -kdfopt info:"ravelin pem passphrase 1" HKDF |
	tr -d ':\n' | tr A-F a-f)
openssl pkey -in "$top/home/state/signer/CAPF.key.pem" -passin pass:"$pass" -pubout 2>/dev/null |
	cmp - <(openssl x509 -in "$top/home/state/signer/CAPF.cert.pem" -noout -pubkey) || die "the CAPF key cannot be got back"
for k in "$top/home/state/signer"/*.key.pem; do
	openssl pkey -in "$k" -passin pass:"$pass" -pubout 2>/dev/null |
		cmp - <(openssl x509 -in "${k%.key.pem}.cert.pem" -noout -pubkey) || die "$k cannot be got back"
done
if openssl pkey -in "$top/home/state/signer/CAPF.key.pem" -passin pass:wrong -noout 2>/dev/null; then die "any passphrase opens the key"; fi
echo "signer-hardening: no core, no memory, no key in clear; keys can be recovered with the KEK alone"
