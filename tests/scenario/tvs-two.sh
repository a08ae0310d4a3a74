#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Two appliances of one cluster, each with a TVS: certificates shared by upload into TVS-trust. The ITL of the first names both TVS; a phone
# whose first TVS does not answer asks the second, which knows who signed the new ITL; a phone that knows one TVS only is stuck, and so is
# one whose second TVS is in no list. 002:P2-12, P2-13, P2-17. RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# May run beside another.
set -u
SC_NAME=tvs2
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
ns_up || die "network namespaces could not be made"
sc_phones 1 2 3
ip -n "$NS_APP" addr add 10.77.1.3/24 dev app0
appliance_config "signer: {server_key: ec-p256}
provision: {listen: 10.77.1.1, call_managers: [10.77.1.1, 10.77.1.3]}
enrol: {listen: 10.77.1.1}" || die "configuration"
mkdir -m 700 "$WORK/b" "$WORK/b/state" "$WORK/b/run"
sed "s|$WORK/|$WORK/b/|; s/10\.77\.1\.1$/10.77.1.3/; s/listen: 10\.77\.1\.1/listen: 10.77.1.3/" "$WORK/ravelin.yaml" >"$WORK/b/ravelin.yaml"
on_b() { # COMMAND...: at the second appliance
	local WORK=$WORK/b
	"$@"
}
up() { ctl_holds status 'has("registered")'; }
daemon signer
on_b daemon signer
daemon controlplane
on_b daemon controlplane
wait_for 60 up && wait_for 60 on_b up || die "the appliances did not come up: $(tail -n 2 "$WORK"/*.log "$WORK"/b/*.log)"
ctl utils ctl set-cluster mixed-mode >/dev/null || die "no CTL"
for n in 1 2 3; do sc_device $n encrypted || die "device"; done
P=$WORK/pki
mkdir "$P"
own() { ctl cert export "$1" --der --out "$P/$2" >/dev/null; }
ask() { in_phone timeout 60 /usr/bin/python3 "$RAVELIN_TOP/tests/scenario/tvs_ask.py" "$@" 2>>"$WORK/ask.log"; }
says() { # TEXT WANTED COMMAND...
	local text=$1 want=$2 out
	shift 2
	out=$("$@")
	if [ "$out" = "$want" ]; then ok "$text"; else bad "$text" "$out, wanted $want"; fi
}
boots() { # N REPORT [options]
	local n=$1 r=$2
	shift 2
	mkdir -p "$WORK/flash$n"
	in_phone timeout 60 "$SIM/ravelin-bootphone" --server 10.77.1.1 --name "$(sc_phone_name "$n")" --hold "$WORK/flash$n" --http \
		--key "$WORK/$(sc_phone_name "$n").pem" --report "$WORK/$r.json" "$@" >>"$WORK/phone.log" 2>&1
}
BOTH="--tvs-server 10.77.1.1 --tvs-server 10.77.1.3"
change() { # with --strand if phones would be: the other TVS is not counted on
	local out n
	out=$(ctl -j "$@" 2>/dev/null) && return 0
	n=$(jq -r '.error.message // ""' <<<"$out" 2>/dev/null | grep -o -- '--strand [0-9]*' | head -1)
	[ -n "$n" ] && ctl "$@" $n >/dev/null 2>&1
}
listed() { [ "$(ctl -j show itl | jq '[.records[] | select(.function == "TVS")] | length')" = "$1" ]; }

step "certificates are shared"
own TFTP TFTP-A.der || bad "export"
on_b ctl cert export TVS --der --out "$P/TVS-B.der" >/dev/null || bad "export"
on_b ctl cert export TFTP --der --out "$P/TFTP-B.der" >/dev/null || bad "export"
check "one TVS is in the ITL" wait_for 10 listed 1
says "the second knows nothing of the first's signer" "not valid" ask 10.77.1.3 2445 verify "$P/TFTP-A.der"
check "the second's TVS to the first" ctl cert upload --store TVS-trust "$P/TVS-B.der"
check "the first's signer to the second" on_b ctl cert upload --store TVS-trust "$P/TFTP-A.der"
check "the second's signer to the first" ctl cert upload --store TVS-trust "$P/TFTP-B.der"
check "two TVS are in the ITL, and no signer as one" wait_for 10 listed 2
check_ctl "each by its own certificate and name" "show itl" '[.records[] | select(.function == "TVS") | .sha256] | unique | length == 2'
says "the second vouches for the first's signer" "valid 0,3 86400" ask 10.77.1.3 2445 query "$P/TFTP-A.der"
says "the first for the second's" "valid 0,3 86400" ask 10.77.1.1 2445 query "$P/TFTP-B.der"
says "and for its TVS" "valid 21 86400" ask 10.77.1.1 2445 verify "$P/TVS-B.der"
check "the phone's configuration names both" eval \
	'in_phone timeout 90 curl -sf "http://10.77.1.1:6970/$(sc_phone_name 1).cnf.xml.sgn" | grep -a -A40 "<TVS>" | grep -a -c "<address>" | grep -q "^2$"'

step "the first TVS is away when the signer changes"
for n in 1 2 3; do boots $n first$n || bad "phone $n boots"; done
check "phones hold both lists" eval 'jq -e ".took_itl and .config_ok" "$WORK/first1.json"'
check "TFTP is made anew" change cert regenerate TFTP
check "what it was is dropped: the ITL's signer is a stranger" change cert retire TFTP
own TFTP TFTP-A2.der
check "the new one goes to the second" on_b ctl cert upload --store TVS-trust "$P/TFTP-A2.der"
kill "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)"
sed -i 's/^enrol: {/enrol: {tvs_port: 0, /' "$WORK/ravelin.yaml"
daemon controlplane
wait_for 30 up || die "the first did not come back"
boots 1 stuck
check "who knows the first only refuses the new ITL" eval 'jq -e ".bad_itl and (.took_itl | not) and (.tvs | not)" "$WORK/stuck.json"'
check "who knows both boots" boots 2 fell $BOTH
check "by the second's word" eval 'jq -e ".took_itl and (.bad_itl | not) and .tvs_used == 1 and .tvs_valid > 0 and .config_ok" "$WORK/fell.json"'
check "and the first phone too, when it asks there" boots 1 freed $BOTH
check "it holds the new ITL" eval 'jq -e ".took_itl and .tvs_used == 1" "$WORK/freed.json"'

step "a TVS that no list names"
check "the second's TVS is renewed, and nobody told the first" on_b change cert regenerate TVS
boots 3 third $BOTH
check "a phone that still held the old ITL does not believe it" eval 'jq -e ".bad_itl and (.took_itl | not) and .tvs and .tvs_asked == 0" "$WORK/third.json"'
check "deleted here, it leaves the ITL" ctl cert delete --store TVS-trust "$(openssl x509 -inform DER -in "$P/TVS-B.der" -noout -fingerprint -sha256 | sed 's/.*=//')"
check "which names one TVS again" wait_for 10 listed 1
for d in controlplane signer; do
	on_b eval 'kill "$(daemon_pid '$d')"; wait "$(daemon_pid '$d')"'
	check "the second's $d stops cleanly" test $? = 0
done
sc_end
