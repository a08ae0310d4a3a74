#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# IKE with gateways: charon steered over VICI from gateways' records, against an unmodified strongSwan in the gateways'
# namespace. IKEv2 with pre-shared key and AES-GCM, IKEv2 with certificates (ours the signer's, theirs in IPsec-trust), IKEv1 main mode with
# AES-CBC and SHA-1 and SHA-256; IKE reaches our charon by the punt path, and its SAs the dataplane; a wrong key and an untrusted certificate are refused with a reason; charon and the controlplane are
# killed and come back (001:P1-013, 001:P1-040, 004a:GW-01). RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# May run beside another.
set -u
SC_NAME=ike
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
. "$RAVELIN_TOP/scripts/ike.sh"

ns_up || die "network namespaces could not be made"
for n in 11 12 13 14 15 16; do ip -n "$NS_GW" addr add 10.77.2.$n/24 dev gw0; done
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d; s|^      addresses: \[10.77.2.2/24.*|&\n      punt: ikep|' "$WORK/ravelin.yaml"
printf 'ike: {enable: true, source: socket, vici: %s/ours/vici}\n' "$WORK" >>"$WORK/ravelin.yaml"

P=$WORK/pki
mkdir "$P"
ca() { # NAME: a CA, and a gateway's certificate of it
	openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/O=Gateways/CN=$1 CA" -keyout "$P/$1-ca.key" -out "$P/$1-ca.crt" \
		-addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null &&
		openssl req -newkey rsa:2048 -nodes -subj "/O=Gateways/CN=$1.example" -keyout "$P/$1.key" -out "$P/$1.csr" 2>/dev/null &&
		printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:%s.example\n' "$1" >"$P/ext" &&
		openssl x509 -req -in "$P/$1.csr" -CA "$P/$1-ca.crt" -CAkey "$P/$1-ca.key" -CAcreateserial -days 20 -extfile "$P/ext" -out "$P/$1.crt" 2>/dev/null
}
ca cert2 && ca alien || die "openssl made no certificates"
printf 'correct horse 2\n' >"$P/psk2"
printf 'correct horse 1\n' >"$P/psk1"
printf 'battery staple\n' >"$P/pskbad"
chmod 600 "$P"/*

appliance_start || die "the appliance did not come up"
ike_punt ikep 10.77.2.2 || die "punt interface"
wait_for 10 test -S "$WORK/run/xfrm.sock" || die "no xfrm.sock"
ours() { ike_charon ours "$NS_APP" kernel LD_PRELOAD="$BUILD/controlplane/ike/libravelin-xfrm.so" RAVELIN_XFRM="$WORK/run/xfrm.sock"; }

step "charon is not there"
soon_ctl "an alarm says so" 10 "show alarms" 'any(.[]; .id == "ike-daemon")'
G() { # NAME HOST OPTIONS...
	local name=$1 host=$2
	shift 2
	ctl gateway add "$name" --address "10.77.2.$host" --endpoint aaln/1 --ike-mode tunnel "$@" 2>>"$WORK/checks.log" >&2
}
check "IKEv2 with a pre-shared key" G psk2 10 --ike 2 --ike-psk-file "$P/psk2" --ike-proposal aes-gcm-128-sha256/x25519 --ike-esp aes-gcm-128
check "IKEv2 with certificates" G cert2 11 --ike 2 --ike-cert --ike-remote-id cert2.example
check "IKEv1 with AES-CBC and SHA-1" G psk1a 12 --ike 1 --ike-psk-file "$P/psk1" --ike-proposal aes-cbc-128-sha1/modp2048 --ike-esp aes-cbc-128-sha1
check "IKEv1 with AES-CBC and SHA-256, which the gateway begins" G psk1b 13 --ike 1 --ike-psk-file "$P/psk1" --ike-begin wait \
	--ike-proposal aes-cbc-256-sha256/modp2048 --ike-esp aes-cbc-256-sha256
check "a gateway that has another key" G wrong 14 --ike 2 --ike-psk-file "$P/pskbad"
check "a gateway with a certificate of somebody else" G alien 15 --ike 2 --ike-cert --ike-remote-id alien.example
check "a gateway that has another key, IKEv1" G wrong1 16 --ike 1 --ike-psk-file "$P/pskbad"
check_ctl "all of them are listed, down" "show ike" 'length == 7 and all(.[]; .state == "down" and .loaded == false)'
refused() { ! G "$@"; }
check "3DES is refused: ipsec.old_algorithms does not allow it" refused old 20 --ike 1 --ike-psk-file "$P/psk1" --ike-proposal 3des-cbc-sha1/modp1024
check "so is aggressive mode" refused old 20 --ike aggressive --ike-psk-file "$P/psk1"
check "so are certificates without the gateway's identity" refused old 20 --ike 2 --ike-cert
check "a key is not in the record, the audit or the log" eval \
	"! { ctl -j gateway show psk2; ctl -j show audit --max 100; cat \"$WORK/controlplane.log\"; } | grep -q 'correct horse'"

step "a strongSwan of another hand"
ctl cert export IPsec --out "$P/ours.crt" >/dev/null 2>>"$WORK/checks.log"
ctl cert upload "$P/cert2-ca.crt" --store IPsec-trust >/dev/null 2>>"$WORK/checks.log" || bad "the gateways' CA is trusted"
mkdir -p "$WORK/peer/private"
cp "$P/cert2.key" "$P/alien.key" "$WORK/peer/private"
{
	conn() { # NAME HOST VERSION AUTH PROPOSALS ESP [OUR ID]
		local auth="auth = psk" other="auth = psk
			id = 10.77.2.2"
		[ "$4" = psk ] || auth="auth = pubkey
			certs = $P/$1.crt
			id = $1.example" other="auth = pubkey
			certs = $P/ours.crt"
		cat <<-CONN
			$1 {
				version = $3
				mobike = no
				local_addrs = 10.77.2.$2
				remote_addrs = 10.77.2.2
				proposals = $5
				local { $auth
				}
				remote { $other
				}
				children { $1 {
					local_ts = 10.77.2.$2/32[udp/2427]
					remote_ts = 10.77.2.2/32[udp/2727]
					esp_proposals = $6
				} }
			}
		CONN
	}
	echo 'connections {'
	conn psk2 10 2 psk aes128gcm16-prfsha256-curve25519 aes128gcm16
	conn cert2 11 2 cert default default
	conn psk1a 12 1 psk aes128-sha1-modp2048 aes128-sha1
	conn psk1b 13 1 psk aes256-sha256-modp2048 aes256-sha256
	conn wrong 14 2 psk default default
	conn alien 15 2 cert default default
	conn wrong1 16 1 psk default default
	echo '}'
	echo "secrets { ike-psk2 { id = 10.77.2.10
		secret = \"correct horse 2\"
	} ike-a { id = 10.77.2.12
		secret = \"correct horse 1\"
	} ike-b { id = 10.77.2.13
		secret = \"correct horse 1\"
	} ike-w { id = 10.77.2.14
		secret = \"of another stable\"
	} ike-w1 { id = 10.77.2.16
		secret = \"of another stable\"
	} }"
} >"$WORK/peer/swanctl.conf"
ike_charon peer "$NS_GW" libipsec || die "the gateways' charon did not start"
swan peer --load-all --file "$WORK/peer/swanctl.conf" >"$WORK/peer-load.log" 2>&1 || bad "swanctl --load-all" "$(tail -n 3 "$WORK/peer-load.log")"
ours || die "our charon did not start"
is_up() { ctl_holds "show ike" "any(.[]; .gateway == \"$1\" and .state == \"up\")"; }
soon_ctl "the alarm is over" 10 "show alarms" 'all(.[]; .id != "ike-daemon")'
soon_ctl "IKEv2 with a pre-shared key is up: AES-GCM both" 20 "show ike" \
	'.[] | select(.gateway == "psk2") | .state == "up" and (.algorithm | test("^AES_GCM_16-128/PRF_HMAC_SHA2_256/CURVE_25519")) and
	.children[0].algorithm == "AES_GCM_16-128" and .children[0].spi_in != .children[0].spi_out and .rekey_in_s > 0'
soon_ctl "IKEv2 with certificates is up" 20 "show ike" '.[] | select(.gateway == "cert2") | .state == "up" and .remote_id == "cert2.example"'
soon_ctl "IKEv1 with SHA-1 is up" 20 "show ike" '.[] | select(.gateway == "psk1a") | .state == "up" and .version == 1 and
	(.algorithm | test("^AES_CBC-128/HMAC_SHA1_96")) and .children[0].algorithm == "AES_CBC-128/HMAC_SHA1_96"'
check_ctl "the one that waits is down" "show ike" '.[] | select(.gateway == "psk1b") | .state == "down" and .begin == "wait"'
swan peer --initiate --child psk1b --timeout 10 >"$WORK/peer-init.log" 2>&1
soon_ctl "until the gateway begins: IKEv1 with SHA-256" 20 "show ike" '.[] | select(.gateway == "psk1b") | .state == "up" and
	.initiator == false and .children[0].algorithm == "AES_CBC-256/HMAC_SHA2_256_128"'
soon_ctl "a wrong key is refused, and why" 20 "show ike" '.[] | select(.gateway == "wrong") | .state != "up" and (.error | test("AUTHENTICATION_FAILED"))'
soon_ctl "an untrusted certificate is refused, and why" 20 "show ike" '.[] | select(.gateway == "alien") | .state != "up" and (.error // "" | test("no (trusted|issuer)"))'
soon_ctl "a wrong key of IKEv1, too" 30 "show ike" '.[] | select(.gateway == "wrong1") | .state != "up" and (.error // "" | length > 0)'
soon_ctl "each of them is an alarm" 20 "show alarms" '[.[] | select(.id == "ike-down") | .subject] | sort == ["alien", "wrong", "wrong1"]'
ctl -j ike up wrong >"$WORK/wrong.json" 2>&1
check "ike up says why it is not" grep -q AUTHENTICATION_FAILED "$WORK/wrong.json"
# As responder it sees for itself.
swan peer --initiate --child wrong --timeout 5 >"$WORK/peer-init2.log" 2>&1
soon_ctl "a gateway that comes with a wrong key" 10 "show ike" '.[] | select(.gateway == "wrong") | .error | test("MAC mismatched")'

live() { ctl_holds "show sas" "[.[] | select(.state == \"live\" and (.gateway | IN($1))) | [.gateway, .direction]] | unique | length == $2"; }
check "four gateways have SAs in the dataplane, in both directions" wait_for 10 live '"psk2", "cert2", "psk1a", "psk1b"' 8
check_ctl "those that failed have none" "show sas" 'all(.[]; .gateway | IN("psk2", "cert2", "psk1a", "psk1b"))'

step "up and down"
check "ike down" ctl ike down psk2
soon_ctl "it is stopped" 10 "show ike" '.[] | select(.gateway == "psk2") | .state == "stopped"'
soon_ctl "an alarm, too" 15 "show alarms" 'any(.[]; .id == "ike-down" and .subject == "psk2")'
check "ike up" ctl ike up psk2
check "it is up" is_up psk2
check_ctl "the alarm is over" "show alarms" 'all(.[]; .id != "ike-down" or .subject != "psk2")'

step "rekeying"
swan peer --rekey --ike psk2 >/dev/null 2>&1
soon_ctl "that of IKE is counted" 30 "show ike" '.[] | select(.gateway == "psk2") | .rekeys == 1 and .state == "up"'
swan peer --rekey --child psk2 >/dev/null 2>&1
soon_ctl "both are counted, and it is up" 30 "show ike" '.[] | select(.gateway == "psk2") | .rekeys == 1 and .child_rekeys == 1 and .state == "up"'

step "the controlplane goes and comes"
ike_sa() { ctl -j show ike | jq -c '[.[] | select(.state == "up") | [.gateway, .ike_sa]] | sort'; }
BEFORE=$(ike_sa)
kill -9 "$(daemon_pid controlplane)"
while daemon_alive controlplane; do sleep 0.05; done
daemon controlplane
wait_for 60 dataplane_up || die "the controlplane did not come back"
soon_ctl "four are up" 20 "show ike" '[.[] | select(.state == "up")] | length == 4'
sleep 3
check "the same SAs as before" [ "$(ike_sa)" = "$BEFORE" ]
check "and no second one" [ "$(swan peer --list-sas --raw 2>/dev/null | grep -c 'list-sa event.*ESTABLISHED')" = 4 ]

step "charon goes and comes"
ike_stop ours KILL
soon_ctl "an alarm says so" 10 "show alarms" 'any(.[]; .id == "ike-daemon")'
check_ctl "all are listed, down" "show ike" 'length == 7 and all(.[]; .state == "down")'
ours || die "our charon did not start again"
soon_ctl "those that we begin are up again" 30 "show ike" '[.[] | select(.state == "up") | .gateway] | sort == ["cert2", "psk1a", "psk2"]'

step "records and trust change"
printf 'another horse 2\n' >"$P/psk2"
check "another key" ctl gateway change psk2 --ike-psk-file "$P/psk2"
soon_ctl "with it the gateway is not up any more" 20 "show ike" '.[] | select(.gateway == "psk2") | .state != "up" and (.error // "" | test("AUTHENTICATION_FAILED"))'
printf 'correct horse 2\n' >"$P/psk2"
check "the right one" ctl gateway change psk2 --ike-psk-file "$P/psk2"
soon_ctl "it is up" 40 "show ike" '.[] | select(.gateway == "psk2") | .state == "up"'
ctl cert upload "$P/alien-ca.crt" --store IPsec-trust >/dev/null 2>>"$WORK/checks.log"
check "once its CA is trusted, the certificate is" ctl ike up alien
check "IKE is taken from a gateway" ctl gateway change alien --ike no
soon_ctl "it is not listed any more" 10 "show ike" 'length == 6 and all(.[]; .gateway != "alien")'
gone() { ! swan peer --list-sas 2>/dev/null | grep -q '^alien'; }
check "and its SA ends" wait_for 10 gone
check "a gateway is deleted" ctl gateway del cert2
gone2() { ! swan ours --list-conns 2>/dev/null | grep -q '^cert2'; }
check "charon has nothing of it" wait_for 10 gone2
ike_stop ours TERM
ike_stop peer TERM
check "the appliance stops cleanly" appliance_stop
sc_end
