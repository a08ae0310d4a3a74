#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# IKEv1 main mode with certificates (ours the signer's, theirs in IPsec-trust): packets both ways, its keys renewed under them, our certificate
# made anew, another CA's refused with the reason; a gateway of IKEv1 that dies is seen by dead peer detection, and back by itself; IKE, and ESP
# in UDP, over IPv6. The far end is an unmodified strongSwan with kernel-libipsec. RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# May run beside another.
# Rows: 001:P1-013; 004a:GW-01.
set -u
SC_NAME=ikv1
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
. "$RAVELIN_TOP/scripts/ike.sh"

AGENT=10.77.2.2 AGENT6=2001:db8:2::2
NAMES=(cert1 alien1 dies1 six2 six1)
ns_up || die "network namespaces could not be made"
for n in 1 2 3 4 5; do
	ip -n "$NS_GW" addr add "$(sc_gw_ip $n)/24" dev gw0 && ip -n "$NS_GW" addr add 2001:db8:2::1$n/64 dev gw0 nodad || die "addresses"
done
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d; s|^      addresses: \[10.77.2.2/24.*|&\n      punt: ikep|' "$WORK/ravelin.yaml"
printf 'ike: {enable: true, source: socket, vici: %s/ours/vici}\n' "$WORK" >>"$WORK/ravelin.yaml"

P=$WORK/pki
mkdir -p "$P" "$WORK/peer/private"
ca() { # NAME: a CA, and a gateway's certificate of it
	openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/O=Gateways/CN=$1 CA" -keyout "$P/$1-ca.key" -out "$P/$1-ca.crt" \
		-addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null &&
		openssl req -newkey rsa:2048 -nodes -subj "/O=Gateways/CN=$1.example" -keyout "$WORK/peer/private/$1.key" -out "$P/$1.csr" 2>/dev/null &&
		printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:%s.example\n' "$1" >"$P/ext" &&
		openssl x509 -req -in "$P/$1.csr" -CA "$P/$1-ca.crt" -CAkey "$P/$1-ca.key" -CAcreateserial -days 20 -extfile "$P/ext" -out "$P/$1.crt" 2>/dev/null
}
ca cert1 && ca alien1 || die "openssl made no certificates"
printf 'correct horse\n' >"$P/psk"
chmod 600 "$P"/*
appliance_start || die "the appliance did not come up"
ike_punt ikep $AGENT && in_app ip addr replace $AGENT6/128 dev ikep nodad noprefixroute && in_app ip -6 route replace 2001:db8:2::/64 dev ikep src $AGENT6 ||
	die "punt interface"
wait_for 10 test -S "$WORK/run/xfrm.sock" || die "no xfrm.sock"
ctl cert upload "$P/cert1-ca.crt" --store IPsec-trust >/dev/null || die "certificates"

conn() { # NUMBER VERSION THEIR-ADDRESS OUR-ADDRESS PROPOSALS ESP [cert]
	local name=${NAMES[$1 - 1]}
	local auth="auth = psk" other="auth = psk
			id = $4"
	[ $# = 6 ] || auth="auth = pubkey
			certs = $P/$name.crt
			id = $name.example" other="auth = pubkey
			certs = $P/ours.crt"
	cat <<-CONN
		connections { $name {
			version = $2
			mobike = no
			local_addrs = $3
			remote_addrs = $4
			proposals = $5
			local { $auth
			}
			remote { $other
			}
			children { $name {
				local_ts = $(sc_gw_ip "$1")/32[udp/2427]
				remote_ts = $AGENT/32[udp/2727]
				esp_proposals = $6
			} }
		} }
		secrets { ike-$name { id = $3
			secret = "correct horse"
		} }
	CONN
}
load_peer() { # with our certificate as it is now
	ctl cert export IPsec --out "$P/ours.crt" >/dev/null && swan peer --load-all --clear --file "$WORK/peer/swanctl.conf" >"$WORK/peer-load.log" 2>&1
}
peer() { ike_charon peer "$NS_GW" libipsec && load_peer; }
{
	conn 1 1 "$(sc_gw_ip 1)" $AGENT aes256-sha256-modp2048 aes256-sha256 cert
	conn 2 1 "$(sc_gw_ip 2)" $AGENT aes256-sha256-modp2048 aes256-sha256 cert
	conn 3 1 "$(sc_gw_ip 3)" $AGENT aes256-sha256-modp2048 aes256-sha256
	conn 4 2 2001:db8:2::14 $AGENT6 default aes128gcm16
	conn 5 1 2001:db8:2::15 $AGENT6 aes256-sha256-modp2048 aes256-sha256
} >"$WORK/peer/swanctl.conf"
peer || die "the gateways' charon did not start: $(tail -n 3 "$WORK/peer-load.log")"
ike_charon ours "$NS_APP" kernel LD_PRELOAD="$BUILD/controlplane/ike/libravelin-xfrm.so" RAVELIN_XFRM="$WORK/run/xfrm.sock" || die "our charon did not start"

G() { # NUMBER OPTIONS...
	local n=$1
	shift
	ctl gateway add "${NAMES[$n - 1]}" --address "$(sc_gw_ip "$n")" --endpoint aaln/1 --ike-mode tunnel "$@" 2>>"$WORK/checks.log" >&2
}
is_up() { ctl_holds "show ike" "any(.[]; .gateway == \"$1\" and .state == \"up\")"; }
both() { ctl_holds "show sas" "[.[] | select(.gateway == \"$1\" and .state == \"live\").direction] | unique == [\"in\", \"out\"]"; }
load() { # NUMBER RATE SECONDS: keep-alives, until $WORK/enough is there or the time is over
	rm -f "$WORK/enough"
	in_gw timeout 300 python3 "$RAVELIN_TOP/tests/scenario/ike_keepalive.py" "$(sc_gw_ip "$1")" $AGENT:2727 "${NAMES[$1 - 1]}" "$2" "$3" "$WORK/enough" >"$WORK/load.json"
}
carries() { # NUMBER TEXT: it is up, and what is sent comes through, counted where it ought to be
	local name=${NAMES[$1 - 1]}
	check "$name: $2" wait_for 60 is_up "$name"
	check "$name: both directions are in the dataplane" wait_for 20 both "$name"
	load "$1" 100 2
	check_json "$name: all answered: $(jq -c . "$WORK/load.json")" "$WORK/load.json" '.answered > 50 and .lost == 0'
	soon_ctl "$name: under its own SAs, both ways" 10 "show sas" \
		"[.[] | select(.gateway == \"$name\" and .state == \"live\")] | all(.[]; .auth_failed == 0 and .replayed == 0) and
		([.[] | select(.packets > 50) | .direction] | unique) == [\"in\", \"out\"]"
}
of() { ctl -j show ike | jq -r ".[] | select(.gateway == \"$1\") | $2"; }

step "IKEv1 with certificates"
check "a gateway whose CA is trusted" G 1 --ike 1 --ike-cert --ike-remote-id cert1.example
check "one whose CA is not" G 2 --ike 1 --ike-cert --ike-remote-id alien1.example
carries 1 "is up"
check_ctl "it is as its record says" "show ike" '.[] | select(.gateway == "cert1") | .version == 1 and .auth == "certificate" and .remote_id == "cert1.example" and
	.children[0].algorithm == "AES_CBC-256/HMAC_SHA2_256_128" and .children[0].in_udp'
soon_ctl "the other is refused, and why: $(of alien1 .error)" 30 "show ike" '.[] | select(.gateway == "alien1") | .state != "up" and (.error // "" | test("no (trusted|issuer)"))'
soon_ctl "an alarm says so, too" 30 "show alarms" 'any(.[]; .id == "ike-down" and .subject == "alien1" and (.text | test("no (trusted|issuer)")))'
check_ctl "it has no SA" "show sas" 'all(.[]; .gateway != "alien1")'

step "its keys are renewed under load"
# Whoever begins a quick mode sends under the new SAs with its third message, which makes them at the other end: what comes before it is nobody's
# (IKEv2 has no third one). That there is none to send under is what must not be.
lines=$(wc -l <"$WORK/controlplane.log")
load 1 200 120 &
bg=$!
wait_for 10 ctl_holds "show sas" '[.[] | select(.gateway == "cert1" and .packets > 300)] | length == 2'
# Quick mode anew by either end, then main mode: both anew.
for end in ours peer ours; do
	was=$(of cert1 '.children[0].spi_out')
	swan "$end" --rekey --child cert1 >/dev/null 2>&1
	soon_ctl "ESP, begun by $end" 30 "show ike" ".[] | select(.gateway == \"cert1\") | .state == \"up\" and all(.children[] | select(.state == \"INSTALLED\"); .spi_out != \"$was\")"
done
was=$(of cert1 .ike_sa)
swan ours --rekey --ike cert1 >/dev/null 2>&1
soon_ctl "IKE" 30 "show ike" ".[] | select(.gateway == \"cert1\") | .state == \"up\" and .ike_sa != \"$was\""
touch "$WORK/enough"
wait $bg
gaps=$(tail -n +$((lines + 1)) "$WORK/controlplane.log" | grep -c -E 'id=gateway-no-sa .*subject="cert1"|event=gateway-state gateway=cert1 state=no-sa|id=ike-down .*subject="cert1"')
check "an SA was there all the time ($gaps times not)" test "$gaps" = 0
check_json "packets both ways meanwhile: $(jq -c . "$WORK/load.json")" "$WORK/load.json" '.sent > 300 and .answered > .sent / 2 and .refused == 0'

step "our certificate is made anew"
openssl x509 -in "$P/ours.crt" -noout -serial >"$WORK/serial"
check "made" ctl cert regenerate IPsec
load_peer || bad "the gateways trust it: $(tail -n 3 "$WORK/peer-load.log")"
check "it is another one" eval "! openssl x509 -in '$P/ours.crt' -noout -serial | cmp -s - '$WORK/serial'"
ctl ike down cert1 >/dev/null 2>&1
soon_ctl "IKE ends" 20 "show ike" '.[] | select(.gateway == "cert1") | .state == "stopped"'
check "and is up with it" ctl ike up cert1
carries 1 "by the new one"

step "a gateway of IKEv1 dies"
check "its record" G 3 --ike 1 --ike-psk-file "$P/psk" --ike-dpd-s 2
carries 3 "is up"
was=$(of dies1 .ike_sa)
ike_stop peer KILL
soon_ctl "its silence is seen" 60 "show ike" '.[] | select(.gateway == "dies1") | .state != "up"'
soon_ctl "its SAs end" 30 "show sas" 'all(.[]; .gateway != "dies1")'
soon_ctl "an alarm says so" 20 "show alarms" 'any(.[]; .id == "ike-down" and .subject == "dies1")'
soon_ctl "nothing is sent to it" 10 "show gateways" '.[] | select(.name == "dies1") | .state == "no-sa"'
peer || die "the gateways' charon did not come back"
soon_ctl "it is up again by itself" 150 "show ike" ".[] | select(.gateway == \"dies1\") | .state == \"up\" and .ike_sa != \"$was\""
carries 3 "is up again"
soon_ctl "the alarm is over" 10 "show alarms" 'all(.[]; .id != "ike-down" or .subject != "dies1")'

step "IKE over IPv6"
check "IKEv2" G 4 --ike 2 --ike-psk-file "$P/psk" --ike-esp aes-gcm-128 --ike-local $AGENT6 --ike-remote 2001:db8:2::14
check "IKEv1" G 5 --ike 1 --ike-psk-file "$P/psk" --ike-proposal aes-cbc-256-sha256/modp2048 --ike-esp aes-cbc-256-sha256 --ike-local $AGENT6 --ike-remote 2001:db8:2::15
sc_capture "$NS_GW" gw0 "$WORK/gw0.pcap" || die tcpdump
carries 4 "is up"
carries 5 "is up"
for n in 4 5; do
	name=${NAMES[$n - 1]} was=$(of "${NAMES[$n - 1]}" '.children[0].spi_out')
	swan ours --rekey --child "$name" >/dev/null 2>&1
	soon_ctl "$name: its keys are renewed" 30 "show ike" ".[] | select(.gateway == \"$name\") | .state == \"up\" and any(.children[]; .state == \"INSTALLED\" and .spi_out != \"$was\")"
done
kill "$SC_CAP"
wait "$SC_CAP" 2>/dev/null
check "ESP went in UDP over IPv6" test "$(tshark -r "$WORK/gw0.pcap" -Y 'ipv6 && esp && udp.port == 4500' -T fields -e frame.number 2>/dev/null | wc -l)" -gt 100
ike_stop ours TERM
ike_stop peer TERM
check "the appliance stops cleanly" appliance_stop
sc_end
