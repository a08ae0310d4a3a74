#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Backup and restore onto a new machine. What a phone that trusts the old machine checks is checked of the restored one: its trust lists
# and its signed configuration by the list it holds, the certificates of the services, the records. What is no whole bundle is
# refused and leaves nothing; a restore that is killed leaves the old state or the new one, and loses none of them.
# RAVELIN_BUILD: build directory. As root; exit 0 or 1. Needs strace. 002:P2-40, P2-41.
# May run beside another.
set -u
SC_NAME=backup
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

ns_up || die "network namespaces could not be made"
mkdir "$WORK/old" "$WORK/new" "$WORK/kill"
config() { # NAME: configuration of that machine
	cat >"$WORK/$1/ravelin.yaml" <<-YAML
		paths: {state: $WORK/$1/state, run: $WORK/$1/run}
		sccp: {listen: 10.77.1.1}
		signer: {server_key: ec-p256, cluster_name: rv}
		provision: {listen: 10.77.1.1}
	YAML
}
config old
config new
config kill
machine() { # NAME start|stop
	local d
	if [ "$2" = start ]; then
		for d in pki/signer/ravelin-signer controlplane/ravelin-controlplane; do
			ip netns exec "$NS_APP" "$BUILD/$d" -c "$WORK/$1/ravelin.yaml" >>"$WORK/$1-${d##*-}.log" 2>&1 &
			printf '%s' $! >"$WORK/$1-${d##*-}.pid"
		done
		wait_for 60 eval "'$BUILD/controlplane/ctl/ravelinctl' -s '$WORK/$1/run/admin.sock' status >/dev/null 2>&1" ||
			{ tail -5 "$WORK/$1"-*.log >&2; return 1; }
	else
		for d in controlplane signer; do
			kill -TERM "$(cat "$WORK/$1-$d.pid")" && wait "$(cat "$WORK/$1-$d.pid")" || return 1
		done
	fi
}
on() { # NAME ravelinctl's arguments
	local m=$1
	shift
	timeout 30 "$BUILD/controlplane/ctl/ravelinctl" -c "$WORK/$m/ravelin.yaml" "$@"
}
fetch() { # NAME: what a phone asks for at boot, and the certificates of what it connects to
	local m=$1 f
	for f in ITLFile.tlv CTLFile.tlv SEP001122334451.cnf.xml.sgn; do
		in_phone timeout 10 curl -s -f -o "$WORK/$m/$f" "http://10.77.1.1:6970/$f" || rm -f "$WORK/$m/$f"
	done
	: >"$WORK/$m/certs"
	for f in 2443 6972; do
		in_phone timeout 5 openssl s_client -connect "10.77.1.1:$f" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256 \
			>>"$WORK/$m/certs" 2>/dev/null
	done
	on "$m" -j show devices | jq -S . >"$WORK/$m/devices"
	on "$m" -j show lines | jq -S . >"$WORK/$m/lines"
}
sums() { (cd "$1" 2>/dev/null && sha256sum kek ./*.cert.pem 2>/dev/null); }

step "the old machine"
machine old start || die "the old machine does not start"
for n in 1 2 3; do on old device add SEP00112233445$n --mode encrypted --line 100$n >/dev/null || die "device $n"; done
wait_for 10 eval "in_phone timeout 5 curl -s -f -o '$WORK/old/itl' http://10.77.1.1:6970/ITLFile.tlv" || true
fetch old
check "it serves an ITL" test -s "$WORK/old/ITLFile.tlv"
check "and a signed configuration" test -s "$WORK/old/SEP001122334451.cnf.xml.sgn"
check "whose signature its ITL vouches for" on old file verify "$WORK/old/SEP001122334451.cnf.xml.sgn" --list "$WORK/old/ITLFile.tlv"
printf 'a good passphrase\n' >"$WORK/pass"
printf 'a bad passphrase\n' >"$WORK/bad"
printf 'short\n' >"$WORK/short"
chmod 600 "$WORK/pass" "$WORK/bad" "$WORK/short"
if on old backup create "$WORK/b" --passphrase-file "$WORK/short" >/dev/null 2>&1; then bad "a short passphrase"; else ok "a short passphrase is refused"; fi
check "a backup is made" on old backup create "$WORK/b" --passphrase-file "$WORK/pass"
check "readable by its owner only" test "$(stat -c %a "$WORK/b")" = 600
check "nothing of it stays on the machine" test -z "$(ls "$WORK/old/state/backup")"
if grep -qE 'PRIVATE|SEP0011|BEGIN' "$WORK/b"; then bad "it holds something in clear"; else ok "it holds nothing in clear"; fi
on old device add SEP001122334459 --mode nonsecure --line 1009 >/dev/null || die "device 9"
check "it verifies" on old backup verify "$WORK/b" --passphrase-file "$WORK/pass"
on old backup show "$WORK/b" --passphrase-file "$WORK/pass" >"$WORK/show.json"
check_json "it holds three devices, three lines and eleven identities" "$WORK/show.json" \
	'.records.device == 3 and .records.line == 3 and (.identities | length) == 11'

refused() { # TEXT MACHINE PASS BUNDLE [options]: and leaves no state
	local text=$1 m=$2 p=$3 b=$4
	shift 4
	if on "$m" restore "$b" --passphrase-file "$p" "$@" >/dev/null 2>"$WORK/refused"; then
		bad "$text" "restored"
	elif ! grep -q '^error: ' "$WORK/refused"; then
		bad "$text" "no reason"
	elif [ "$m" = new ] && [ -e "$WORK/new/state" ]; then
		bad "$text" "it left a state"
	else
		ok "$text: $(head -c 100 "$WORK/refused" | sed "s|$WORK|.|g")"
	fi
}
step "what is refused"
refused "while the daemons run" old "$WORK/pass" "$WORK/b" --force
refused "a wrong passphrase" new "$WORK/bad" "$WORK/b"
size=$(stat -c %s "$WORK/b")
# Each costs a scrypt; every length of a small bundle is cut in tests/unit/test_bundle.c.
cuts="0 12 $((size / 2)) $((size - 1))"
flips="20 $((size - 500)) $((size - 5))"
if [ "${RAVELIN_FULL:-0}" != 0 ]; then
	cuts="$cuts 5 11 $((size / 3)) $((size - 21)) $((size - 20))"
	flips="$flips 9 100 $((size - 30))"
fi
for n in $cuts; do
	head -c "$n" "$WORK/b" >"$WORK/cut"
	refused "cut at $n of $size" new "$WORK/pass" "$WORK/cut"
done
for n in $flips; do
	cp "$WORK/b" "$WORK/flip"
	byte=$(od -An -tu1 -j "$n" -N1 "$WORK/b")
	printf "\\x$(printf %02x $((byte ^ 16)))" | dd of="$WORK/flip" bs=1 seek="$n" conv=notrunc 2>/dev/null
	refused "bit flipped at $n" new "$WORK/pass" "$WORK/flip"
done

step "restored on another machine"
machine old stop || bad "the old machine stops"
sums "$WORK/old/state/signer" >"$WORK/old/sums"
check "it restores" on new restore "$WORK/b" --passphrase-file "$WORK/pass"
machine new start || die "the new machine does not start"
wait_for 10 eval "in_phone timeout 5 curl -s -f -o '$WORK/new/itl' http://10.77.1.1:6970/ITLFile.tlv" || true
fetch new
sums "$WORK/new/state/signer" >"$WORK/new/sums"
check "the same keys and certificates" cmp "$WORK/old/sums" "$WORK/new/sums"
check "the same certificates are presented" cmp "$WORK/old/certs" "$WORK/new/certs"
check "two of them" test "$(wc -l <"$WORK/new/certs")" = 2
check "the devices of the time of the backup" cmp "$WORK/old/devices" "$WORK/new/devices"
check "and their lines" cmp "$WORK/old/lines" "$WORK/new/lines"
check "a phone that holds the old ITL takes the new one" on new file verify "$WORK/new/ITLFile.tlv" --list "$WORK/old/ITLFile.tlv"
check "and its configuration" on new file verify "$WORK/new/SEP001122334451.cnf.xml.sgn" --list "$WORK/old/ITLFile.tlv"
# The same by openssl alone: the signature of the configuration, with the TFTP certificate of the old machine.
/usr/bin/python3 - "$WORK/new/SEP001122334451.cnf.xml.sgn" "$WORK/old/state/signer/TFTP.cert.pem" >"$WORK/py.log" 2>&1 <<-'PY'
	import struct, sys
	from cryptography import x509
	from cryptography.hazmat.primitives import hashes
	from cryptography.hazmat.primitives.asymmetric import padding
	data = open(sys.argv[1], "rb").read()
	cert = x509.load_pem_x509_certificate(open(sys.argv[2], "rb").read())
	at, digest, sig, cut = 0, None, None, None
	while at < len(data) and sig is None:
	    tag, n = data[at], struct.unpack(">H", data[at + 1:at + 3])[0]
	    if tag in (3, 7):  # lengths of what follows, which is records itself
	        at += 3
	        continue
	    value = data[at + 3:at + 3 + n]
	    if tag == 8:
	        digest = value[0]
	    if tag == 12:
	        sig, cut = value, (at, at + 3 + n)
	    at += 3 + n
	h = {1: hashes.SHA1, 2: hashes.SHA256, 3: hashes.SHA512}[digest]()
	cert.public_key().verify(sig, data[:cut[0]] + data[cut[1]:], padding.PKCS1v15(), h)
	print("ok")
PY
check "by another implementation too" grep -qx ok "$WORK/py.log"
machine new stop || bad "the new machine stops"

step "over what is there"
refused "over a state" old "$WORK/pass" "$WORK/b"
mkdir -p "$WORK/old/state/files" && echo ringer >"$WORK/old/state/files/ring.xml"
check "with --force" on old restore "$WORK/b" --passphrase-file "$WORK/pass" --force
check "what was there is kept" test -s "$WORK/old/state.before-restore/signer/kek"
check "the operator's files move over" grep -q ringer "$WORK/old/state/files/ring.xml"

step "killed right behind the exchange"
again() { # strace's options: the bundle once more over the state of "old"
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 timeout 120 strace -f -e trace=renameat2 "$@" \
		"$BUILD/controlplane/ravelin-controlplane" -c "$WORK/old/ravelin.yaml" --restore "$WORK/b" --passphrase-file "$WORK/pass" --force
}
again -o "$WORK/trace" >/dev/null 2>&1 || bad "a third restore"
n=$(grep renameat2 "$WORK/trace" | grep -n RENAME_EXCHANGE | cut -d: -f1)
echo mine >"$WORK/old/state/signer/mine"
exec 4>&2 2>/dev/null # bash reports the process that was killed
again -o /dev/null -e inject=renameat2:signal=SIGKILL:when=$((n + 1)) >/dev/null 2>&1
rc=$?
exec 2>&4
check "the new state is in its place" test $rc = 137 -a -s "$WORK/old/state/signer/kek" -a ! -e "$WORK/old/state/signer/mine"
check "done again" on old restore "$WORK/b" --passphrase-file "$WORK/pass" --force
check "the state of before is kept even so" eval "grep -qx mine '$WORK'/old/state.before-restore*/signer/mine"
check "and the operator's files are there" grep -q ringer "$WORK/old/state/files/ring.xml"
check "with nothing left behind" test ! -e "$WORK/old/state.restore" -a ! -e "$WORK/old/state/being-restored"

step "killed"
kills=0 whole=0
restored() { [ -s "$WORK/kill/state/signer/kek" ] && [ -s "$WORK/kill/state/store/CURRENT" ] && [ "$(find "$WORK/kill/state/signer" -name '*.key.pem' | wc -l)" = 11 ]; }
exec 4>&2 2>/dev/null # bash reports each process that was killed
for at in fsync:1 fsync:18 renameat2:2 renameat2:12 renameat2:13 fdatasync:1 fdatasync:3 fsync:40; do
	strace -f -o /dev/null -e trace="${at%:*}" -e inject="${at%:*}":signal=SIGKILL:when="${at#*:}" \
		"$BUILD/controlplane/ravelin-controlplane" -c "$WORK/kill/ravelin.yaml" --restore "$WORK/b" --passphrase-file "$WORK/pass" \
		>/dev/null 2>&1
	rc=$?
	if [ -e "$WORK/kill/state" ]; then
		if restored; then whole=$((whole + 1)); else bad "killed at $at: half a state"; fi
	fi
	[ $rc = 137 ] && kills=$((kills + 1))
	[ ! -e "$WORK/kill/state" ] || rm -rf "$WORK/kill/state"
done
exec 2>&4
check "killed in the middle often enough ($kills kills, $whole whole states)" test $kills -ge 5
check "and then restored after all" on kill restore "$WORK/b" --passphrase-file "$WORK/pass"
check "with nothing left behind" test ! -e "$WORK/kill/state.restore"
check "whole" restored
sc_end
