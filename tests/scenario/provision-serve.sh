#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Files for phones fetched by clients that nobody here wrote: tftp-hpa, atftp, curl (TFTP, HTTP, HTTPS), openssl s_client; every byte
# compared, the packets dissected by tshark. Then what no client would send: ways out of the tree, floods, slow requests, forged
# sources; and a server that is killed and comes back. 004a: TFTP rows; 000:P0-52 to P0-56. Clients of IPv4 and IPv6 at one
# listener of both. 1,000 ways out of the tree and 4,000 datagrams of noise; 10,000 and 20,000 with RAVELIN_FULL.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# Rows: 000:R-18.
# May run beside another.
set -u
TRIES=1000 FLOOD=4000
[ "${RAVELIN_FULL:-0}" = 0 ] || TRIES=10000 FLOOD=20000
SC_NAME=provision-serve
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

ns_up || die "network namespaces could not be made"
F=$WORK/tree/files
O=$WORK/out
A=10.77.1.1
A6=2001:db8:1::1
ip -n "$NS_APP" addr add $A6/64 dev app0 nodad
mkdir -p "$F/dir/deep" "$WORK/tree/filesx" "$O" "$WORK/keys"
for n in $(seq 1 100); do printf '<ring><name>Ring %d</name><file>ring%d.raw</file></ring>\n' $n $n; done | head -c 4000 >"$F/ring.xml"
echo >>"$F/ring.xml"
: >"$F/empty.txt"
head -c 1024 /dev/urandom >"$F/two-blocks.bin" # a whole number of them: the last is empty
head -c 300001 /dev/urandom >"$F/fw.bin"
head -c 600 /dev/urandom >"$F/dir/deep/locale.jar"
printf 'line\n\r\nwith \r alone\n' >"$F/ends.txt"
echo ravelin-secret-outside | tee "$WORK/tree/secret" >"$WORK/tree/filesx/secret"
ln -s ../secret "$F/link"
ln -s /etc/passwd "$F/passwd"
ln -s .. "$F/up"
ln -s ../filesx "$F/dirlink"
ln -s "$WORK/tree/secret" "$F/absolute"

appliance_config "provision:
  listen: '::'
  directory: $F
  idle_s: 2
  min_rate: 16384
  max_source: 40
  timeout_ms: 500
  oauth:
    issuer: https://issuer.example
    keys: $WORK/keys/issuer.pem
    audience: ravelin" || die "configuration"
openssl genrsa -out "$WORK/keys/rsa.key" 2048 2>/dev/null && openssl rsa -in "$WORK/keys/rsa.key" -pubout -out "$WORK/keys/issuer.pem" 2>/dev/null ||
	die "openssl made no keys"
appliance_start || die "the appliance did not come up"
served() { in_phone timeout 20 curl -sf -o /dev/null "http://$A:6970/ring.xml"; }
wait_for 10 served || bad "the servers answer"
ctl cert issue "$(sc_phone_name 1)" --out "$WORK" >/dev/null # brings ca.pem
sc_capture "$NS_PHONE" phone0 "$WORK/tftp.pcap"

same() { # TEXT FILE GOT
	if cmp -s "$F/$2" "$3"; then ok "$1"; else bad "$1" "$(ls -l "$F/$2" "$3" 2>&1 | tr '\n' ' ')"; fi
}
FILES="ring.xml empty.txt two-blocks.bin fw.bin dir/deep/locale.jar"

py() { in_phone timeout 60 python3 "$RAVELIN_TOP/tests/scenario/provision_serve.py" "$@" 2>>"$WORK/checks.log"; }
# These are at it while others are served.
py loris 16 >"$O/loris" &
LORIS=$!
py sip 300 >"$O/sip" &
SIP=$!
py idle >"$O/idle" &
IDLE=$!

step "tftp-hpa"
n=0
for f in $FILES; do
	n=$((n + 1))
	in_phone timeout 90 tftp -m binary $A -c get "$f" "$O/hpa$n" >"$O/log" 2>&1
	same "tftp-hpa, octet: $f" "$f" "$O/hpa$n"
done
in_phone timeout 90 tftp -m ascii $A -c get ring.xml "$O/hpa.txt" >"$O/log" 2>&1
same "tftp-hpa, netascii: ring.xml" ring.xml "$O/hpa.txt"
in_phone timeout 90 tftp -m ascii $A -c get ends.txt "$O/hpa.ends" >"$O/log" 2>&1
same "tftp-hpa, netascii: lone CR and LF" ends.txt "$O/hpa.ends"
in_phone timeout 90 tftp -m binary $A -c get nothing.xml "$O/none" >"$O/log" 2>&1
check "tftp-hpa: what is not there is said so" grep -q 'Error code 1: file not found' "$O/log"
echo x >"$O/x"
in_phone timeout 90 tftp -m binary $A -c put "$O/x" x >"$O/log" 2>&1
check "tftp-hpa: writing is refused with error 2" grep -q 'Error code 2: access violation' "$O/log"

step "atftp"
at() { # TEXT FILE OPTIONS...
	local text=$1 f=$2 o=() x
	shift 2
	for x in "$@"; do o+=(--option "$x"); done
	rm -f "$O/at"
	in_phone timeout 90 atftp "${o[@]}" --get -r "$f" -l "$O/at" $A 69 >"$O/log" 2>&1
	same "atftp, $text: $f" "$f" "$O/at"
}
for f in $FILES; do at "no options" "$f"; done
at "tsize" fw.bin "tsize 0"
at "blksize 1428" fw.bin "blksize 1428" "tsize 0"
at "blksize 65464, lowered" fw.bin "blksize 65464" "tsize 0" "timeout 2"
for w in 2 8 64; do at "windowsize $w" fw.bin "windowsize $w" "blksize 1024" "tsize 0"; done
at "windowsize 4" two-blocks.bin "windowsize 4"
kill "$SC_CAP" 2>/dev/null
wait "$SC_CAP" 2>/dev/null
head -c 33600000 /dev/urandom >"$F/many-blocks.bin" # of 512 bytes: more than block numbers there are
at "block numbers begin again" many-blocks.bin
at "block numbers begin again in a window" many-blocks.bin "windowsize 16"
in_phone timeout 90 tftp -m binary $A -c get many-blocks.bin "$O/hpa" >"$O/log" 2>&1
same "tftp-hpa, block numbers begin again" many-blocks.bin "$O/hpa"

step "curl"
for f in $FILES; do
	: >"$O/c" # curl makes no file of an empty one
	in_phone timeout 90 curl -sf -o "$O/c" "tftp://$A/$f" || rm "$O/c"
	same "curl, TFTP: $f" "$f" "$O/c"
done
in_phone timeout 90 curl -sf --tftp-blksize 1428 -o "$O/c" "tftp://$A/fw.bin"
same "curl, TFTP, blksize" fw.bin "$O/c"
in_phone timeout 90 curl -sf --tftp-no-options -o "$O/c" "tftp://$A/fw.bin"
same "curl, TFTP, no options" fw.bin "$O/c"
http() { in_phone timeout 90 curl -s "$@"; }
http -o "$O/k1" "http://$A:6970/ring.xml" -o "$O/k2" "http://$A:6970/fw.bin" -o "$O/k3" "http://$A:6970/empty.txt" \
	-o "$O/k4" "http://$A:6970/dir%2Fdeep/l%6Fcale%2ejar" -w '%{num_connects} %{http_code} ' >"$O/w"
check "curl, HTTP: four files over one connection" test "$(cat "$O/w")" = "1 200 0 200 0 200 0 200 "
same "curl, HTTP: ring.xml" ring.xml "$O/k1"
same "curl, HTTP: fw.bin" fw.bin "$O/k2"
same "curl, HTTP: empty.txt" empty.txt "$O/k3"
same "curl, HTTP: a folder's, percent-encoded" dir/deep/locale.jar "$O/k4"
http --http1.0 -o "$O/c" "http://$A:6970/fw.bin"
same "curl, HTTP/1.0" fw.bin "$O/c"
http -r 1000-1999 -o "$O/c" -w '%{http_code}' "http://$A:6970/fw.bin" >"$O/w"
check "curl: a range" eval "[ $(cat "$O/w") = 206 ] && cmp -s '$O/c' <(tail -c +1001 '$F/fw.bin' | head -c 1000)"
head -c 100000 "$F/fw.bin" >"$O/part"
http -C - -o "$O/part" "http://$A:6970/fw.bin"
same "curl: a download goes on where it broke off" fw.bin "$O/part"
http -r 400000- -o "$O/c" -w '%{http_code}' "http://$A:6970/fw.bin" >"$O/w"
check "curl: a range behind the end is 416" test "$(cat "$O/w")" = 416
http --etag-save "$O/etag" -o "$O/c" "http://$A:6970/ring.xml"
http --etag-compare "$O/etag" -o "$O/c2" -w '%{http_code}' "http://$A:6970/ring.xml" >"$O/w"
check "curl: what is known is 304" test "$(cat "$O/w")" = 304
http -I "http://$A:6970/fw.bin" | tr -d '\r' >"$O/head"
check "curl: HEAD" eval "grep -q '^HTTP/1.1 200' '$O/head' && grep -q '^Content-Length: 300001$' '$O/head'"
code() { # TEXT CODE CURL-OPTIONS...
	local text=$1 want=$2
	shift 2
	http -o "$O/c" -w '%{http_code}' "$@" >"$O/w"
	if [ "$(cat "$O/w")" = "$want" ]; then ok "$text: $want"; else bad "$text" "$(cat "$O/w"), not $want"; fi
}
code "curl: what is not there" 404 "http://$A:6970/nothing.xml"
code "curl: a folder" 404 "http://$A:6970/dir/"
code "curl: POST" 405 -d x=y "http://$A:6970/ring.xml"
code "curl: PUT" 405 -T "$O/x" "http://$A:6970/x"
code "curl: a body with GET" 413 -X GET -d x=y "http://$A:6970/ring.xml"
code "curl: a long name" 414 "http://$A:6970/$(printf 'a%.0s' $(seq 3000))"
code "curl: long headers" 431 -H "X: $(printf 'a%.0s' $(seq 9000))" "http://$A:6970/ring.xml"

step "IPv6"
n=0
for f in $FILES; do
	n=$((n + 1))
	in_phone timeout 90 tftp -6 -m binary $A6 -c get "$f" "$O/six$n" >"$O/log" 2>&1
	same "tftp-hpa over IPv6: $f" "$f" "$O/six$n"
	: >"$O/c"
	in_phone timeout 90 curl -6 -g -sf -o "$O/c" "tftp://[$A6]/$f" || rm "$O/c"
	same "curl, TFTP over IPv6: $f" "$f" "$O/c"
done
rm -f "$O/at"
in_phone timeout 90 atftp --option "windowsize 8" --option "blksize 1024" --get -r fw.bin -l "$O/at" $A6 69 >"$O/log" 2>&1
same "atftp over IPv6, windowsize 8" fw.bin "$O/at"
http -6 -g -o "$O/k1" "http://[$A6]:6970/ring.xml" -o "$O/k2" "http://[$A6]:6970/fw.bin" -w '%{num_connects} %{http_code} ' >"$O/w"
check "curl, HTTP over IPv6: two files over one connection" test "$(cat "$O/w")" = "1 200 0 200 "
same "curl, HTTP over IPv6: ring.xml" ring.xml "$O/k1"
same "curl, HTTP over IPv6: fw.bin" fw.bin "$O/k2"
for p in 6972 6971; do
	http -6 -g -k -o "$O/c" "https://[$A6]:$p/fw.bin"
	same "curl, HTTPS over IPv6, port $p" fw.bin "$O/c"
done
LL=$(ip -n "$NS_APP" -6 -o addr show dev app0 scope link | sed -n 's|.*inet6 \([^/]*\)/.*|\1|p')
in_phone timeout 90 curl -6 -g -sf -o "$O/c" "tftp://[$LL%25phone0]/fw.bin"
same "curl, TFTP, at the address of the link" fw.bin "$O/c"
http -6 -g -o "$O/c2" "http://[$LL%25phone0]:6970/fw.bin"
same "curl, HTTP, at the address of the link" fw.bin "$O/c2"
out=$(py hold 60 $A6); rc=$?
if [ $rc = 0 ]; then ok "a source's limit, IPv6: $out"; else bad "a source's limit, IPv6" "$out"; fi

step "HTTPS"
for p in 6972 6971; do
	in_phone timeout 90 openssl s_client -connect $A:$p -servername $A </dev/null >"$O/s$p" 2>&1
	openssl x509 -in "$O/s$p" -out "$O/cert$p.pem" 2>/dev/null
	for v in 1.2 1.3; do
		http --cacert "$O/cert$p.pem" -k --tlsv$v --tls-max $v -o "$O/c" -w '%{http_code}' "https://$A:$p/fw.bin" >"$O/w"
		same "curl, HTTPS, port $p, TLS $v" fw.bin "$O/c"
	done
	http -k -o "$O/k1" "https://$A:$p/ring.xml" -o "$O/k2" "https://$A:$p/fw.bin" -o "$O/k3" "https://$A:$p/two-blocks.bin" -w '%{num_connects} ' >"$O/w"
	check "curl, HTTPS, port $p: three files over one connection" eval "[ '$(cat "$O/w")' = '1 0 0 ' ] && cmp -s '$O/k2' '$F/fw.bin'"
	{ printf 'GET /ring.xml HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'; sleep 0.4; } |
		in_phone timeout 90 openssl s_client -quiet -connect $A:$p >"$O/s" 2>/dev/null
	check "openssl s_client, port $p" eval "tail -c 4001 '$O/s' | cmp -s - '$F/ring.xml'"
	in_phone timeout 90 openssl s_client -tls1_1 -cipher 'ALL:@SECLEVEL=0' -connect $A:$p </dev/null >"$O/s" 2>&1
	check "openssl s_client, port $p: TLS 1.1 is refused" grep -q -i 'alert protocol version\|unsupported protocol' "$O/s"
done
http --cacert "$WORK/ca.pem" -o "$O/c" -w '%{ssl_verify_result}' "https://$A:6972/ring.xml" >"$O/w"
check "port 6972: the certificate is for this address, of our CA" eval "[ '$(cat "$O/w")' = 0 ] && cmp -s '$O/c' '$F/ring.xml'"
check "port 6971: an EC certificate" eval "openssl x509 -in '$O/cert6971.pem' -noout -text | grep -q id-ecPublicKey"
http -k -o "$O/c" "https://$A:6971/ring.xml.sgn"
same "port 6971: X.sgn is answered with X" ring.xml "$O/c"

step "bearer tokens"
D=$(sc_phone_name 1)
b64() { base64 -w0 | tr '+/' '-_' | tr -d '='; }
token() { # DEVICE SCOPE EXP KEY: by openssl and the shell
	local msg
	msg=$(printf '{"alg":"RS256","typ":"JWT"}' | b64).$(printf '{"iss":"https://issuer.example","aud":"ravelin","sub":"%s","scope":"%s","exp":%d}' "$1" "$2" "$3" | b64)
	printf '%s.%s' "$msg" "$(printf '%s' "$msg" | openssl dgst -sha256 -sign "$4" -binary | b64)"
}
T=$(($(date +%s) + 3600))
openssl genrsa -out "$WORK/keys/other.key" 2048 2>/dev/null
check "a profile with OAuth" eval "ctl cluster set --sip-oauth && ctl profile add oauth --oauth --protocol sip --mode encrypted --transport tls && ctl device add $D --line 1001 --region phones && ctl device set $D --profile oauth"
C=https://$A:6971/$D.cnf.xml
bearer() { # TEXT CODE TOKEN
	code "$1" "$2" -k -D "$O/h" -H "Authorization: Bearer $3" "$C"
}
asks() { [ "$(http -k -o "$O/c" -w '%{http_code}' "$C")" = 401 ]; }
wait_for 5 asks
code "no token" 401 -k -D "$O/h" "$C"
check "which is asked for" grep -q -i '^WWW-Authenticate: Bearer realm="ravelin"' "$O/h"
bearer "a token of another key" 401 "$(token "$D" tftp $T "$WORK/keys/other.key")"
check "and why" grep -q 'error="invalid_token", error_description="signature is not the issuer' "$O/h"
bearer "of another device" 401 "$(token "$(sc_phone_name 2)" tftp $T "$WORK/keys/rsa.key")"
check "and why" grep -q 'error_description="another device"' "$O/h"
bearer "of another scope" 401 "$(token "$D" sip $T "$WORK/keys/rsa.key")"
bearer "expired" 401 "$(token "$D" tftp $((T - 7200)) "$WORK/keys/rsa.key")"
bearer "the right one" 200 "$(token "$D" "sip tftp" $T "$WORK/keys/rsa.key")"
check "it is the device's" grep -q '<device' "$O/c"
code "as signed" 200 -k -H "Authorization: Bearer $(token "$D" tftp $T "$WORK/keys/rsa.key")" "$C.sgn"
check "is the unsigned file" grep -q '^<?xml' "$O/c"
http -o "$O/c" -w '%{http_code}' "http://$A:6970/$D.cnf.xml" >"$O/w"
check "not in clear" grep -q '^40[14]$' "$O/w"
in_phone timeout 90 curl -sf -o "$O/c" "tftp://$A/$D.cnf.xml"
check "nor by TFTP" test $? != 0
openssl rsa -in "$WORK/keys/other.key" -pubout -out "$WORK/keys/new.pem" 2>/dev/null && mv "$WORK/keys/new.pem" "$WORK/keys/issuer.pem"
new_key() { [ "$(http -k -o "$O/c" -w '%{http_code}' -H "Authorization: Bearer $(token "$D" tftp $T "$WORK/keys/other.key")" "$C")" = 200 ]; }
check "the issuer changes its key" wait_for 6 new_key
bearer "of the old one" 401 "$(token "$D" tftp $T "$WORK/keys/rsa.key")"

step "what no client would send"
out=$(py traverse $TRIES); rc=$?
if [ $rc = 0 ]; then ok "ways out of the tree: $out"; else bad "ways out of the tree" "$out"; fi
check "strangers, writers, ports" py stranger
check_ctl "strangers are counted" "show provision" '.tftp.strangers >= 1 and .tftp.ended.write >= 2 and .tftp.ended.bad_name > '$((TRIES / 10))' and .http.bad_names > '$((TRIES / 10))
check "floods of noise" py flood $FLOOD
in_phone timeout 90 curl -sf -o "$O/c" "tftp://$A/ring.xml"
same "and a valid request behind them" ring.xml "$O/c"
out=$(py hold 60); rc=$?
if [ $rc = 0 ]; then ok "a source's limit: $out"; else bad "a source's limit" "$out"; fi
wait $LORIS
if [ $? = 0 ]; then ok "slow requests: $(cat "$O/loris")"; else bad "slow requests" "$(cat "$O/loris")"; fi
wait $SIP
if [ $? = 0 ]; then ok "a reader that drips, and one that stops: $(cat "$O/sip")"; else bad "slow readers" "$(cat "$O/sip")"; fi
wait $IDLE
if [ $? = 0 ]; then ok "an idle connection: $(cat "$O/idle")"; else bad "an idle connection" "$(cat "$O/idle")"; fi
check_ctl "they are counted" "show provision" '.http.ended.header_timeout == 16 and .http.ended.slow == 2 and .http.ended.idle >= 1 and .http.refused_source > 0'

step "killed, and back"
kill -9 "$(daemon_pid controlplane)"
wait_for 5 eval '! daemon_alive controlplane'
# an address that never answered: the new process knows nobody
daemon controlplane
check "it serves again" wait_for 15 served
http --etag-compare "$O/etag" -o "$O/c2" -w '%{http_code}' "http://$A:6970/ring.xml" >"$O/w"
check "what was known is still 304" test "$(cat "$O/w")" = 304
out=$(py forged); rc=$?
if [ $rc = 0 ]; then ok "a source that never answers: $out"; else bad "a source that never answers" "$out"; fi
check_ctl "nothing is left over" "show provision" '.tftp.active <= 1 and .tftp.ended.stopped == null'

step "dissected by tshark"
tshark -r "$WORK/tftp.pcap" -d udp.port==69,tftp -T fields -e tftp.opcode -e _ws.malformed >"$O/shark" 2>/dev/null
tshark -r "$WORK/tftp.pcap" -Y '_ws.malformed' 2>/dev/null | grep -v '^$' >"$O/malformed"
check "TFTP in the capture" eval "[ \$(grep -c '^[1-6]' '$O/shark') -gt 2000 ] && grep -q '^6' '$O/shark'"
check "nothing malformed" test ! -s "$O/malformed"

appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
sc_end
