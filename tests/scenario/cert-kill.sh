#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Changes of certificates under kill -9, of signer and controlplane in turn, at random moments: made anew, a CA's answer imported, what
# was before retired. After each kill: the certificate that was acknowledged is in use, one that was not is or is not, but in the
# signer, in the answers and in handshakes it is the same; no half state; and a phone that held the lists of before boots untouched and
# finds a CallManager it believes. Then a signer that stands still: who asks the controlplane meanwhile does not wait for it.
# KILLS (4; RAVELIN_FULL: 30). RAVELIN_BUILD: build directory. As root; exit 0 or 1. 002:P2-27, P2-36; 004b:CTL-09.
# May run beside another.
set -u
SC_NAME=ckill
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
KILLS=${KILLS:-4}
[ "${RAVELIN_FULL:-0}" = 0 ] || KILLS=30

ns_up || die "network namespaces could not be made"
sc_phones 1
appliance_config "signer: {server_key: ec-p256}
provision: {listen: 10.77.1.1}" || die "configuration"
P=$WORK/pki
mkdir "$P" "$WORK/flash"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/O=Elsewhere/CN=Company CA" -keyout "$P/ca.key" \
	-out "$P/ca.crt" -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null || die "openssl made no CA"
printf '%s\n' 'basicConstraints=critical,CA:FALSE' 'keyUsage=critical,digitalSignature,keyEncipherment' \
	'extendedKeyUsage=serverAuth,clientAuth' 'subjectAltName=IP:10.77.1.1' >"$P/ext"
up() { ctl_holds status 'has("registered")'; }
daemon signer
daemon controlplane
wait_for 60 up || die "the appliance did not come up"
ctl utils ctl set-cluster mixed-mode >/dev/null || die "no CTL"
sc_device 1 encrypted || die "device"

boots() {
	in_phone timeout 90 "$SIM/ravelin-bootphone" --server 10.77.1.1 --name "$(sc_phone_name 1)" --hold "$WORK/flash" --http \
		--key "$WORK/$(sc_phone_name 1).pem" --report "$WORK/boot.json" >>"$WORK/phone.log" 2>&1
}
hex() { sed 's/.*=//' | tr -d : | tr A-F a-f; }
served() {
	in_phone timeout 90 openssl s_client -connect 10.77.1.1:2443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256 2>/dev/null | hex
}
own() { ctl -j cert show "$1" --store own 2>/dev/null | jq -r .fingerprints.sha256; }
written() { openssl x509 -in "$WORK/state/signer/$1.cert.pem" -noout -fingerprint -sha256 | hex; }
# change ARGS...: the command, with --strand if the ledger knows of phones that do not find back
change() {
	local out n
	out=$(ctl -j "$@" 2>/dev/null) && { printf '%s' "$out"; return 0; }
	n=$(jq -r '.error.message // ""' <<<"$out" 2>/dev/null | grep -o -- '--strand [0-9]*' | head -1)
	[ -n "$n" ] && ctl -j "$@" $n 2>/dev/null
}
answer() { # the CA's answer to a request for CallManager
	ctl cert csr CallManager --key ec-p256 --out "$P/cm.csr" >/dev/null &&
		openssl x509 -req -in "$P/cm.csr" -CA "$P/ca.crt" -CAkey "$P/ca.key" -CAcreateserial -days 20 -extfile "$P/ext" -out "$P/cm.crt" 2>/dev/null &&
		cat "$P/cm.crt" "$P/ca.crt" >"$P/cm.chain"
}
check "the phone boots for the first time" boots

RANDOM=${SEED:-41}
acked=0 unacked=0 wrong=0 done_all=0
exec 3>&2
for round in $(seq "$KILLS"); do
	case $((round % 4)) in
	1) name=CallManager what=(cert regenerate CallManager --key ec-p384) ;;
	2) name=TFTP what=(cert regenerate TFTP) ;;
	3) answer || bad "round $round: a request and its answer"
		name=CallManager what=(cert import CallManager "$P/cm.chain") ;;
	0) name=TFTP what=(cert retire TFTP)
		ctl_holds 'show certs --store own' 'any(.[]; .name == "TFTP.prev")' || change cert regenerate TFTP >/dev/null
		boots || bad "round $round: the phone follows" ;;
	esac
	victim=signer
	[ $((RANDOM % 2)) = 0 ] || victim=controlplane
	was=$(own $name)
	: >"$WORK/ack"
	{ change "${what[@]}" >"$WORK/ack.tmp" && mv "$WORK/ack.tmp" "$WORK/ack"; } 2>/dev/null &
	asker=$!
	sleep "0.$(printf %03d $((RANDOM % 300)))"
	exec 2>/dev/null # bash reports what was killed
	kill -9 "$(daemon_pid $victim)"
	wait "$(daemon_pid $victim)"
	exec 2>&3
	daemon $victim
	wait $asker
	wait_for 30 up || { bad "round $round: $victim comes up again"; break; }
	# the signer may have been asked again only after its start
	settled() { [ "$(own $name)" = "$(written $name)" ] && [ -z "$(find "$WORK/state/signer" -name '.tmp-*')" ]; }
	wait_for 15 settled || { wrong=$((wrong + 1)); bad "round $round: ${what[*]}, $victim killed: half a state" "$(own $name) $(written $name)"; }
	now=$(own $name)
	if [ -s "$WORK/ack" ]; then
		acked=$((acked + 1))
		if [ "${what[1]}" = retire ]; then
			# a signer that is gone when it has answered is asked for what there is once it is back
			wait_for 10 ctl_holds 'show certs --store own' 'all(.[]; .name != "TFTP.prev")' || bad "round $round: it was said to be retired"
		else
			[ "$now" = "$(jq -r '.fingerprints.sha256 // .sha256' "$WORK/ack")" ] && [ "$now" != "$was" ] ||
				bad "round $round: ${what[*]} was acknowledged and is not in use" "$was $now $(jq -c . "$WORK/ack")"
		fi
	else
		unacked=$((unacked + 1))
	fi
	same() { [ "$(served)" = "$(own CallManager)" ]; }
	wait_for 10 same || bad "round $round: handshakes show what the signer has" "$(served) $(own CallManager)"
	# the ITL follows by itself
	if wait_for 20 boots; then done_all=$((done_all + 1)); else bad "round $round: the phone boots after ${what[*]}, $victim killed" "$(jq -c . "$WORK/boot.json")"; fi
done
check "$KILLS kills ($acked acknowledged, $unacked not): the phone found back each time" test $done_all = "$KILLS" -a $wrong = 0
check_ctl "no alarm of lists or listeners" "show alarms" 'all(.[]; .id | test("^itl-|^tls-|unreadable") | not)'

step "a signer that stands still"
# A certificate, a CTL and a backup are asked for and wait for the signer; who asks for anything else does not.
printf 'a good passphrase\n' >"$WORK/pass"
kill -STOP "$(daemon_pid signer)"
ctl cert regenerate TVS >/dev/null 2>&1 &
one=$!
change ctl update >/dev/null 2>&1 & # after the kills it may not be known which list the phone has
two=$!
ctl backup create "$WORK/b" --passphrase-file "$WORK/pass" >/dev/null 2>&1 &
three=$!
asked=0 waits=1
till=$(($(date +%s) + 3))
while [ $asked -lt 3 ] || [ "$(date +%s)" -lt $till ]; do
	in_phone timeout 90 curl -sf -o /dev/null http://10.77.1.1:6970/ITLFile.tlv || bad "the ITL is not served"
	ctl status >/dev/null || bad "status is not answered"
	asked=$((asked + 1))
	kill -0 $one $two $three 2>/dev/null || waits=0
done
kill -CONT "$(daemon_pid signer)"
# a loop that waited for the signer would answer nobody before those three are done with
check "3 s, $asked requests of two kinds: each was answered while those who need the signer waited for it" test $waits = 1
check "then the certificate is made" wait $one
check "the CTL too" wait $two
check "and the backup" wait $three
check "which are one after the other: the CTL is of today" ctl_holds "show alarms" 'all(.[]; .id != "ctl-stale")'
check "the phone boots" boots

step "a disk that does not sync"
# By the signer's calls for one certificate: the identity's bytes, its name; behind these it is done, and what follows is its copy in PEM.
asan=$(ldd "$BUILD/pki/signer/ravelin-signer" | awk '/libasan/ {print $3}')
kill -TERM "$(daemon_pid signer)" && wait "$(daemon_pid signer)"
export FAULTFS_PATH=$WORK/state/signer FAULTFS_OP=sync FAULTFS_ERR=EIO FAULTFS_FOR=1 FAULTFS_WHEN=$WORK/disk-fails
for FAULTFS_AT in 1 2 3; do
	export FAULTFS_AT
	LD_PRELOAD="${asan:+$asan }$BUILD/tests/scenario/libfaultfs.so" daemon signer
	wait_for 20 eval '[ "$(grep -c event=ready "$WORK/signer.log")" -gt "${ready:-0}" ]' || bad "the signer starts"
	ready=$(grep -c event=ready "$WORK/signer.log")
	was=$(own HTTPS)
	: >"$WORK/disk-fails"
	ctl cert regenerate HTTPS >/dev/null 2>"$WORK/refused"
	rc=$?
	rm "$WORK/disk-fails"
	kill -9 "$(daemon_pid signer)"
	wait "$(daemon_pid signer)" 2>/dev/null
	daemon signer
	wait_for 20 eval '[ "$(grep -c event=ready "$WORK/signer.log")" -gt $ready ]' || bad "the signer starts"
	ready=$(grep -c event=ready "$WORK/signer.log")
	if [ $FAULTFS_AT -lt 3 ]; then
		check "fsync $FAULTFS_AT fails: refused, and the next start has the old one" test $rc = 1 -a "$(written HTTPS)" = "$was" -a "$(own HTTPS)" = "$was"
	else
		check "fsync $FAULTFS_AT fails: done, and the next start has the new one" test $rc = 0 -a "$(written HTTPS)" != "$was" -a "$(own HTTPS)" = "$(written HTTPS)"
	fi
	kill -TERM "$(daemon_pid signer)" && wait "$(daemon_pid signer)"
done
unset FAULTFS_WHEN
daemon signer
wait_for 20 eval '[ "$(grep -c event=ready "$WORK/signer.log")" -gt $ready ]' || bad "the signer starts"
appliance_stop 2>>"$WORK/checks.log"
check "both daemons stop cleanly" test $? = 0
sc_end
