#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Backup and restore onto a new machine. Simulated phones that hold the old machine's CTL and ITL boot from the restored one without
# being touched, by TFTP and by HTTP, one of them with an encrypted configuration, and register over TLS; by a machine with fresh
# keys the same phones are not taken in. What is no whole bundle is refused and leaves nothing; a restore that is killed leaves the
# old state or the new one, and loses none of them. The alarm backup-due comes with what a bundle holds, outlives a start, and goes with the next backup.
# RAVELIN_BUILD: build directory. As root; exit 0 or 1. Needs strace. 002:P2-40 to P2-43; 004a:PKI-11, BR-01,
# BR-02, BR-06.
# Rows: 002:P2-18, R-07, R-15, R-16; 004a:TFTP-08; 004b:CAPF-33.
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
	timeout 90 "$BUILD/controlplane/ctl/ravelinctl" -c "$WORK/$m/ravelin.yaml" "$@"
}
fetch() { # NAME: what a phone asks for at boot, and the certificates of what it connects to
	local m=$1 f
	for f in ITLFile.tlv CTLFile.tlv SEP001122334451.cnf.xml.sgn; do
		in_phone timeout 90 curl -s -f -o "$WORK/$m/$f" "http://10.77.1.1:6970/$f" || rm -f "$WORK/$m/$f"
	done
	: >"$WORK/$m/certs"
	for f in 2443 6972; do
		in_phone timeout 90 openssl s_client -connect "10.77.1.1:$f" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256 \
			>>"$WORK/$m/certs" 2>/dev/null
	done
	on "$m" -j show devices | jq -S . >"$WORK/$m/devices"
	on "$m" -j show lines | jq -S . >"$WORK/$m/lines"
	on "$m" -j status | jq -r .cluster.mode >"$WORK/$m/mode"
}
phone() { # MACHINE N REPORT [options]: phone N boots; its flash is $WORK/flashN
	local m=$1 n=$2 r=$3
	shift 3
	mkdir -p "$WORK/flash$n"
	in_phone timeout 90 "$SIM/ravelin-bootphone" --server 10.77.1.1 --name "SEP00112233445$n" --hold "$WORK/flash$n" \
		--key "$WORK/SEP00112233445$n.pem" --ccm-out "$WORK/ccm$n.pem" --report "$WORK/$m/$r.json" "$@" >>"$WORK/phones.log" 2>&1
}
registers() { # N: by the certificate that its lists vouched for, and nothing else
	in_phone timeout -k 2 90 "$SIM/ravelin-phonesim" --server 10.77.1.1 --name "SEP00112233445$1" --tls --cert "$WORK/SEP00112233445$1.pem" \
		--ca "$WORK/ccm$1.pem" --duration 0.3 --timeout 30 --retry 0 --report "$WORK/reg$1.json" >>"$WORK/phones.log" 2>&1 &&
		[ "$(jq .registered "$WORK/reg$1.json")" = true ]
}
due() { # MACHINE FILTER of the alarm's text; "none": there is none
	on "$1" -j show alarms | jq -e --arg f "$2" 'map(select(.id == "backup-due")) | if $f == "none" then length == 0 else any(.[]; .text | test($f)) end' >/dev/null
}
sums() { (cd "$1" 2>/dev/null && sha256sum kek ./*.cert.pem 2>/dev/null); }

step "the old machine"
machine old start || die "the old machine does not start"
for n in 1 2 3; do on old device add SEP00112233445$n --mode encrypted --line 100$n >/dev/null || die "device $n"; done
check "mixed, so that there is a CTL" on old utils ctl set-cluster mixed-mode
printf 'a good passphrase\n' >"$WORK/pass"
printf 'a bad passphrase\n' >"$WORK/bad"
printf 'short\n' >"$WORK/short"
chmod 600 "$WORK/pass" "$WORK/bad" "$WORK/short"
step "a backup is due when what it holds has changed"
check "an alarm: there is no backup yet" due old 'no backup was made'
check "a first backup" on old backup create "$WORK/b0" --passphrase-file "$WORK/pass"
check "it is gone" due old none
check "a certificate is made anew" on old cert regenerate TVS
check "the alarm names it" due old 'changed since the backup of 20.*: TVS, TVS.prev'
check "status says so" eval "on old -j status | jq -e '.backup.due == true and (.backup.last | startswith(\"20\"))'"
kill -9 "$(cat "$WORK/old-controlplane.pid")"
wait "$(cat "$WORK/old-controlplane.pid")" 2>/dev/null
ip netns exec "$NS_APP" "$BUILD/controlplane/ravelin-controlplane" -c "$WORK/old/ravelin.yaml" >>"$WORK/old-controlplane.log" 2>&1 &
printf '%s' $! >"$WORK/old-controlplane.pid"
wait_for 30 eval "on old status >/dev/null 2>&1" || bad "it comes up again"
check "after a kill too" due old 'TVS'
check "the CTL is updated" on old ctl update
check "which counts as well" due old 'TVS.*CTL'
check "retired: the bundle would bring it back" on old cert retire TVS
check "it stands on until there is another" due old 'TVS'


step "phones of the old machine"
# phone 1 takes a signed configuration, phone 2 one that is encrypted for its certificate
on old profile add secret --mode encrypted --encrypted-config >/dev/null && on old device set SEP001122334452 --profile secret >/dev/null ||
	die "the profile"
for n in 1 2; do on old cert issue SEP00112233445$n --out "$WORK" >/dev/null || die "certificate $n"; done
wait_for 10 eval "in_phone timeout 90 curl -s -f -o '$WORK/old/itl' http://10.77.1.1:6970/ITLFile.tlv" || true
fetch old
cp "$WORK/ca.pem" "$WORK/ccm2.pem"
check "phone 2 shows its certificate" registers 2
check "phone 1 boots for the first time, by TFTP" phone old 1 boot1
check "phone 2, by HTTP" phone old 2 boot2 --http
check_json "and has an encrypted configuration" "$WORK/old/boot2.json" '.took_ctl and .took_itl and .encrypted and .encrypted_ok and .callmanager_ok'
check "both hold CTL and ITL then" test -s "$WORK/flash1/ctl.tlv" -a -s "$WORK/flash1/itl.tlv" -a -s "$WORK/flash2/ctl.tlv" -a -s "$WORK/flash2/itl.tlv"
check "and register" eval "registers 1 && registers 2"
check "it serves an ITL" test -s "$WORK/old/ITLFile.tlv"
check "and a signed configuration" test -s "$WORK/old/SEP001122334451.cnf.xml.sgn"
check "whose signature its ITL vouches for" on old file verify "$WORK/old/SEP001122334451.cnf.xml.sgn" --list "$WORK/old/ITLFile.tlv"
if on old backup create "$WORK/b" --passphrase-file "$WORK/short" >/dev/null 2>&1; then bad "a short passphrase"; else ok "a short passphrase is refused"; fi
check "a backup is made" on old backup create "$WORK/b" --passphrase-file "$WORK/pass"
check "the alarm is gone" due old none
check "readable by its owner only" test "$(stat -c %a "$WORK/b")" = 600
check "nothing of it stays on the machine" test -z "$(ls "$WORK/old/state/backup")"
if grep -qE 'PRIVATE|SEP0011|BEGIN' "$WORK/b"; then bad "it holds something in clear"; else ok "it holds nothing in clear"; fi
on old device add SEP001122334459 --mode nonsecure --line 1009 >/dev/null || die "device 9"
check "which makes no backup due" due old none
check "it verifies" on old backup verify "$WORK/b" --passphrase-file "$WORK/pass"
on old backup show "$WORK/b" --passphrase-file "$WORK/pass" >"$WORK/show.json"
check_json "it holds three devices, three lines and twelve identities" "$WORK/show.json" \
	'.records.device == 3 and .records.line == 3 and (.identities | length) == 12'

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
step "fresh keys, in its place: phones must not take them"
mkdir "$WORK/fresh"
config fresh
machine fresh start || die "the fresh machine does not start"
for n in 1 2; do on fresh device add SEP00112233445$n --mode encrypted --line 100$n >/dev/null || die "device $n"; done
on fresh utils ctl set-cluster mixed-mode >/dev/null || bad "the fresh machine has a CTL"
cp -r "$WORK/flash1" "$WORK/flash.before"
for way in tftp http; do
	opt= && [ $way = tftp ] || opt=--http
	check "phone 1 refuses, by $way" eval "! phone fresh 1 boot-$way $opt"
	check_json "the CTL, the ITL, the configuration: all of them" "$WORK/fresh/boot-$way.json" \
		'.held_ctl and .held_itl and .bad_ctl and .bad_itl and (.took_ctl or .took_itl or .config_ok or .callmanager_ok | not)'
done
check "and holds what it held" diff -r "$WORK/flash1" "$WORK/flash.before"
check "nor does it register by the certificate it knows" eval "! registers 1"
machine fresh stop || bad "the fresh machine stops"

step "the restored machine"
machine new start || die "the new machine does not start"
for n in 1 2; do for way in tftp http; do
	opt= && [ $way = tftp ] || opt=--http
	check "phone $n boots from it, untouched, by $way" phone new $n boot$n-$way $opt
	check_json "by the lists it held" "$WORK/new/boot$n-$way.json" \
		'.held_ctl and .held_itl and (.bad_ctl or .bad_itl | not) and .config_ok and .encrypted_ok and .callmanager_ok and .callmanager == "10.77.1.1"'
done; done
check_json "phone 2's is still encrypted for its certificate" "$WORK/new/boot2-http.json" '.encrypted'
check "and both register" eval "registers 1 && registers 2"
check "a restored machine has its backup" due new none
wait_for 10 eval "in_phone timeout 90 curl -s -f -o '$WORK/new/itl' http://10.77.1.1:6970/ITLFile.tlv" || true
fetch new
sums "$WORK/new/state/signer" >"$WORK/new/sums"
check "the same keys and certificates" cmp "$WORK/old/sums" "$WORK/new/sums"
check "the same certificates are presented" cmp "$WORK/old/certs" "$WORK/new/certs"
check "two of them" test "$(wc -l <"$WORK/new/certs")" = 2
check "the devices of the time of the backup" cmp "$WORK/old/devices" "$WORK/new/devices"
check "and their lines" cmp "$WORK/old/lines" "$WORK/new/lines"
check "the same CTL: nobody had to make one" cmp "$WORK/old/CTLFile.tlv" "$WORK/new/CTLFile.tlv"
check "and the mode is its" grep -qx mixed "$WORK/new/mode"
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
restored() { [ -s "$WORK/kill/state/signer/kek" ] && [ -s "$WORK/kill/state/store/CURRENT" ] && [ "$(find "$WORK/kill/state/signer" -name '*.key.pem' | wc -l)" = 12 ]; }
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
