#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# CAPF profiles of applications: a user and an instance id, a certificate from a request of openssl's that comes as a file, by string
# and without, replaced, revoked, in the revocation list, and over a kill. 001:P1-031, 001:P1-145, 001:R-25. RAVELIN_BUILD: build directory. As
# root; exit 0 or 1.
# May run beside another.
set -u
SC_NAME=capp
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

ns_up || die "network namespaces could not be made"
appliance_config "signer: {server_key: ec-p256}
enrol: {listen: 10.77.1.1}" || die "configuration"
daemon signer
daemon controlplane
is_up() { ctl_holds status 'has("registered")'; }
wait_for 60 is_up || die "the controlplane did not come up: $(tail -n 3 "$WORK/controlplane.log")"
ISSUER=$WORK/state/signer/CAPF.cert.pem
refused() { # TEXT WORDS PROFILE-COMMAND...
	local text=$1 words=$2
	shift 2
	if ctl capf profile "$@" >"$WORK/out" 2>&1; then bad "$text" "it was done"; elif grep -q -- "$words" "$WORK/out"; then ok "$text"; else
		bad "$text" "$(cat "$WORK/out")"
	fi
}
row() { ctl -j capf profile list | jq -c ".[] | select(.user == \"$1\" and .instance == \"$2\")"; }
serial() { openssl x509 -in "$1" -noout -serial | cut -d= -f2; }
csr() { openssl req -newkey "$1" ${3:+-pkeyopt ec_paramgen_curve:$3} -nodes -subj "/CN=whoever" -keyout "$WORK/$2.key" -out "$WORK/$2.csr" 2>>"$WORK/openssl.log"; }
csr rsa:2048 rsa && csr ec ec prime256v1 && csr rsa:1024 weak || die "openssl made no requests"

step "profiles"
ctl -j capf profile add jtapi --instance desk-1 --generate --key rsa-2048 >"$WORK/add.json" || bad "a profile"
S=$(jq -r .string "$WORK/add.json")
check_json "with a string of ours" "$WORK/add.json" '.profile == "jtapi/desk-1" and (.string | test("^[0-9]{8}$")) and .auth == "string"'
refused "an instance id is good for one" "is there" add jtapi --instance desk-1 --auth null
check "another instance of the same application" ctl capf profile add jtapi --instance desk-2 --auth null
refused "no name with a slash" "letters, digits" add a/b --instance c
refused "no such authentication" "string or null" add tapi --instance x --auth lsc
refused "a string with letters" "invalid characters" add tapi --instance x --string 12ab
check_ctl "both are listed, with the string" "capf profile list" "length == 2 and .[0].string == \"$S\" and .[0].status == \"Install/Upgrade pending\" and .[1].string == \"\""

step "issued from a file"
refused "without its string" "needs its authentication string" issue jtapi --instance desk-1 --csr "$WORK/rsa.csr" --out "$WORK/a.pem"
refused "a wrong one" "string is wrong" issue jtapi --instance desk-1 --csr "$WORK/rsa.csr" --string 00000000 --out "$WORK/a.pem"
refused "another kind of key" "not what the profile asks" issue jtapi --instance desk-1 --csr "$WORK/ec.csr" --string "$S" --out "$WORK/a.pem"
refused "no request at all" "no PKCS#10" issue jtapi --instance desk-1 --csr "$ISSUER" --string "$S" --out "$WORK/a.pem"
sed 's/^M/N/' "$WORK/rsa.csr" >"$WORK/bent.csr"
refused "one that was bent" "PKCS#10\|request" issue jtapi --instance desk-1 --csr "$WORK/bent.csr" --string "$S" --out "$WORK/a.pem"
refused "a weak key" "not acceptable" issue jtapi --instance desk-2 --csr "$WORK/weak.csr" --out "$WORK/a.pem"
check "nothing was written" test ! -e "$WORK/a.pem"
check "the right string" ctl capf profile issue jtapi --instance desk-1 --csr "$WORK/rsa.csr" --string "$S" --out "$WORK/a.pem"
check "openssl verifies it, as a TLS client" openssl verify -partial_chain -purpose sslclient -CAfile "$ISSUER" "$WORK/a.pem"
check "and as no server" eval '! openssl verify -partial_chain -purpose sslserver -CAfile "$ISSUER" "$WORK/a.pem"'
openssl x509 -in "$WORK/a.pem" -noout -text >"$WORK/a.txt"
check "it says whose it is, not what the request said" eval 'grep -q "CN = jtapi/desk-1" "$WORK/a.txt" && ! grep -q whoever "$WORK/a.txt"'
check "its key is the request's" test "$(openssl x509 -in "$WORK/a.pem" -noout -pubkey)" = "$(openssl pkey -in "$WORK/rsa.key" -pubout)"
check "the profile has it, and no string any more" eval '[ "$(row jtapi desk-1 | jq -r "\"\(.lsc) \(.lsc_state) \(.string) \(.status)\"")" = "$(serial "$WORK/a.pem") held  Install/Upgrade successful" ]'
refused "the string was for one" "no operation is pending" issue jtapi --instance desk-1 --csr "$WORK/rsa.csr" --string "$S" --out "$WORK/b.pem"
check "without a string, where the profile has none" ctl capf profile issue jtapi --instance desk-2 --csr "$WORK/ec.csr" --out "$WORK/c.pem"
check "a DER request too" eval 'ctl capf profile set jtapi --instance desk-2 --auth null && openssl req -in "$WORK/ec.csr" -outform DER -out "$WORK/ec.der" && ctl capf profile issue jtapi --instance desk-2 --csr "$WORK/ec.der" --out "$WORK/d.pem"'

step "ten wrong strings"
ctl capf profile add tapi --instance 1 --string 135790 >/dev/null || bad "a profile"
for i in 1 2 3 4 5 6 7 8 9 10; do ctl capf profile issue tapi --instance 1 --csr "$WORK/ec.csr" --string 4444 --out "$WORK/t.pem" >/dev/null 2>&1; done
refused "lock it, for the right one too" "too often" issue tapi --instance 1 --csr "$WORK/ec.csr" --string 135790 --out "$WORK/t.pem"

step "over a kill"
kill -9 "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)" 2>/dev/null
daemon controlplane
wait_for 30 is_up || die "it did not come back"
check "what was issued is known" eval '[ "$(row jtapi desk-1 | jq -r "\"\(.lsc) \(.lsc_state)\"")" = "$(serial "$WORK/a.pem") held" ]'
refused "and the lock" "too often" issue tapi --instance 1 --csr "$WORK/ec.csr" --string 135790 --out "$WORK/t.pem"
check "a new string unlocks it" ctl capf profile set tapi --instance 1 --string 24680
check "and is taken" ctl capf profile issue tapi --instance 1 --csr "$WORK/ec.csr" --string 24680 --out "$WORK/t.pem"
check "no log, audit or record has a string" eval '! grep -r -q -a -E "$S|24680|135790" "$WORK/state" "$WORK"/*.log && ! ctl -j show audit --max 1000 | grep -q -E "\"$S\"|24680|135790"'

step "revoked"
check "one that is lost" ctl capf profile revoke jtapi --instance desk-1
check "one by its serial number" ctl capf revoke "$(serial "$WORK/t.pem")"
check "it is revoked" eval '[ "$(row tapi 1 | jq -r .lsc_state)" = revoked ]'
crl_has() { # FILES...
	in_phone timeout 90 curl -sf -o "$WORK/CAPF.crl" http://10.77.1.1:6970/CAPF.crl &&
		openssl crl -inform DER -in "$WORK/CAPF.crl" -CAfile "$ISSUER" -text -noout 2>/dev/null >"$WORK/crl.txt" || return 1
	for f in "$@"; do grep -q "Serial Number: $(serial "$f")" "$WORK/crl.txt" || return 1; done
}
wait_for 15 crl_has "$WORK/a.pem" "$WORK/t.pem" "$WORK/c.pem" && ok "both are in the revocation list, and the one that another replaced" || bad "the revocation list" "$(head -c 300 "$WORK/crl.txt")"
check "the one that holds is not" eval '! grep -q "$(serial "$WORK/d.pem")" "$WORK/crl.txt"'
check_ctl "no phone has them: reports do not know applications" "capf report" '. == []'
kill "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)"
check "it stops cleanly" test $? = 0
sc_end
