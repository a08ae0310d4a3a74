#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The trust verification service beside phones that need it: questions of a client that shares nothing with ours, by certificate and by
# issuer and number; changes seen at the next question on a living connection; what is no question; half-open strangers. Then the drill
# of the plan: a TFTP certificate is rolled and its predecessor dropped, so that the ITL has a signer no phone knows; a phone that asks
# trusts the new ITL, and one that cannot ask does not. The CallManager's needs no question: the ITL names it.
# RAVELIN_BUILD: build directory. As root; exit 0 or 1. 002:P2-04 to P2-08, P2-12, P2-13, P2-17.
# Rows: 002:P2-14, P2-35, R-06; 004c:CA-02.
# May run beside another.
set -u
SC_NAME=tvs
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
ns_up || die "network namespaces could not be made"
sc_phones 1 2
appliance_config "signer: {server_key: ec-p256}
provision: {listen: 10.77.1.1}
enrol: {listen: 10.77.1.1, tvs_ttl_s: 4000}" || die "configuration"
up() { ctl_holds status 'has("registered")'; }
daemon signer
daemon controlplane
wait_for 60 up || die "the appliance did not come up"
ctl utils ctl set-cluster mixed-mode >/dev/null || die "no CTL"
for n in 1 2; do sc_device $n encrypted || die "device"; done
P=$WORK/pki
mkdir "$P"
ask() { in_phone timeout 60 /usr/bin/python3 "$RAVELIN_TOP/tests/scenario/tvs_ask.py" 10.77.1.1 2445 "$@" 2>>"$WORK/ask.log"; }
own() { ctl cert export "$1" --der --out "$P/$1.der" >/dev/null; }
says() { # TEXT WANTED COMMAND...
	local text=$1 want=$2 out
	shift 2
	out=$("$@")
	if [ "$out" = "$want" ]; then ok "$text"; else bad "$text" "$out, wanted $want"; fi
}
rogue() { # NAME: a certificate of nobody's
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/O=Elsewhere/CN=$1" -keyout "$P/$1.key" -outform DER \
		-out "$P/$1.der" -addext extendedKeyUsage=serverAuth,clientAuth 2>/dev/null
}

step "questions"
for n in TFTP TVS CallManager CAPF CAPF-TLS SAST1 ITLRecovery HTTPS; do own $n || bad "certificate of $n"; done
rogue Directory
says "TFTP signs lists and files" "valid 0,3 4000" ask verify "$P/TFTP.der"
says "CallManager" "valid 1 4000" ask verify "$P/CallManager.der"
says "CAPF's issuer" "valid 4 4000" ask verify "$P/CAPF.der"
says "CAPF's server" "valid 4 4000" ask verify "$P/CAPF-TLS.der"
says "TVS itself" "valid 21 4000" ask verify "$P/TVS.der"
says "a SAST" "valid 0 4000" ask verify "$P/SAST1.der"
says "the recovery key" "valid 0 4000" ask verify "$P/ITLRecovery.der"
says "HTTPS" "valid 7 4000" ask verify "$P/HTTPS.der"
says "by issuer and number, with the certificate" "valid 0,3 4000" ask query "$P/TFTP.der"
says "nobody's" "not valid" ask verify "$P/Directory.der"
says "nobody's, by number" "not valid" ask query "$P/Directory.der"
says "byte by byte" "valid 1 4000" ask drip "$P/CallManager.der"
says "two hundred at once" "1 kind of answer" ask many 200 "$P/TFTP.der"
says "what is no question gets no answer" "9 of 9 closed" ask bad
says "forty who say nothing keep nobody out" "valid 1 4000 soon" env DER="$P/CallManager.der" ip netns exec "$NS_PHONE" \
	timeout 60 /usr/bin/python3 "$RAVELIN_TOP/tests/scenario/tvs_ask.py" 10.77.1.1 2445 half 40
served() { in_phone timeout 5 openssl s_client -connect 10.77.1.1:2445 </dev/null 2>/dev/null | openssl x509 -outform DER >"$P/shown.der" 2>/dev/null; }
served
check "it shows the certificate that ITLs name (openssl)" cmp "$P/shown.der" "$P/TVS.der"
check_ctl "it counts" "show tvs" '.verify > 200 and .query == 2 and .unknown == 2 and .malformed >= 5 and .vouched == (.verify + .query - 2)'
check "no question is logged with what it was about" eval "! grep -q BEGIN '$WORK/controlplane.log'"

step "changes, on one connection"
mkfifo "$P/in"
ask script <"$P/in" >"$P/out" &
asker=$!
exec 4>"$P/in"
told() { # N WANTED: the Nth answer
	wait_for 10 eval "[ \$(wc -l <'$P/out') -ge $1 ]" && [ "$(sed -n "$1p" "$P/out")" = "$2" ]
}
echo "verify $P/Directory.der" >&4
check "not valid yet" told 1 "not valid"
ctl cert upload --store directory-trust "$P/Directory.der" >/dev/null || bad "upload"
echo "verify $P/Directory.der" >&4
check "uploaded: the next question sees it (002:P2-08)" told 2 "valid 7 4000"
ctl cert delete --store directory-trust Directory >/dev/null || bad "delete"
echo "query $P/Directory.der" >&4
check "deleted: so does the next" told 3 "not valid"
cp "$P/TVS.der" "$P/TVS.old.der"
# change ARGS...: with --strand if the ledger knows of phones that would not find back
change() {
	local out n
	out=$(ctl -j "$@" 2>/dev/null) && return 0
	n=$(jq -r '.error.message // ""' <<<"$out" 2>/dev/null | grep -o -- '--strand [0-9]*' | head -1)
	[ -n "$n" ] && ctl "$@" $n >/dev/null 2>&1
}
check "TVS is made anew" change cert regenerate TVS
own TVS
echo "verify $P/TVS.der" >&4
check "the connection lives on, and knows" told 4 "valid 21 4000"
echo "verify $P/TVS.old.der" >&4
check "what it was stays vouched for while it is kept" told 5 "valid 21 4000"
served
check "the next handshake has it" cmp "$P/shown.der" "$P/TVS.der"
exec 4>&-
wait $asker

step "a roll of TFTP, with phones that ask"
boots() { # N REPORT [options]
	local n=$1 r=$2
	shift 2
	mkdir -p "$WORK/flash$n"
	in_phone timeout 90 "$SIM/ravelin-bootphone" --server 10.77.1.1 --name "$(sc_phone_name "$n")" --hold "$WORK/flash$n" --http \
		--key "$WORK/$(sc_phone_name "$n").pem" --report "$WORK/$r.json" "$@" >>"$WORK/phone.log" 2>&1
}
check "a phone takes its first lists" boots 1 first
check "so does one that cannot ask" boots 2 first2 --tvs-port 0
check "TFTP is made anew" change cert regenerate TFTP
check "and what it was is dropped at once: the ITL's signer is a stranger" change cert retire TFTP
says "TVS knows him" "valid 0,3 4000" eval "own TFTP; ask query '$P/TFTP.der'"
check "who asks takes the new ITL" boots 1 rolled
check "it had to ask" eval "jq -e '.took_itl and .tvs_valid > 0 and (.bad_itl | not) and .config_ok' '$WORK/rolled.json'"
boots 2 stuck --tvs-port 0
check "who cannot ask refuses it" eval "jq -e '.bad_itl and (.took_itl | not) and .tvs_asked == 0' '$WORK/stuck.json'"
check "until it can" boots 2 freed
check "and now it need not ask" boots 1 settled
check "its ITL says it all" eval "jq -e '(.took_itl | not) and .config_ok and .callmanager_ok' '$WORK/settled.json'"
check "CallManager is made anew" change cert regenerate CallManager
check "its phones find it" boots 1 called
check "without a question: the CTL is of before, and the ITL names it" eval \
	"jq -e '.callmanager_ok and .took_itl and .tvs_valid == 0' '$WORK/called.json'"
sc_end
