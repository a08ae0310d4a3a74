#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Packets over every kind of connection that gateways' records make: IKEv2 with pre-shared key and with certificates, IKEv1 main mode with
# AES-CBC and SHA-1 and, begun by the gateway, SHA-256; the selectors are those that a record has by default. Then
# authentication anew under load: the old SAs are kept until the new ones are there (make_before_break), so that
# at no time there is none. The far end is an unmodified strongSwan. RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# May run beside another; takes long.
# Rows: 001:P1-013; 004a:GW-01.
set -u
SC_NAME=iktraf
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
. "$RAVELIN_TOP/scripts/ike.sh"

AGENT=10.77.2.2
NAMES=(psk2 cert2 psk1a psk1b again)
ns_up || die "network namespaces could not be made"
for n in 1 2 3 4 5; do ip -n "$NS_GW" addr add "$(sc_gw_ip $n)/24" dev gw0; done
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d; s|^      addresses: \[10.77.2.2/24.*|&\n      punt: ikep|' "$WORK/ravelin.yaml"
printf 'ike: {enable: true, source: socket, vici: %s/ours/vici}\n' "$WORK" >>"$WORK/ravelin.yaml"

P=$WORK/pki
mkdir "$P" "$WORK/peer" "$WORK/peer/private"
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/O=Gateways/CN=cert2 CA" -keyout "$P/ca.key" -out "$P/ca.crt" \
	-addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null &&
	openssl req -newkey rsa:2048 -nodes -subj "/O=Gateways/CN=cert2.example" -keyout "$WORK/peer/private/cert2.key" -out "$P/cert2.csr" 2>/dev/null &&
	printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:cert2.example\n' >"$P/ext" &&
	openssl x509 -req -in "$P/cert2.csr" -CA "$P/ca.crt" -CAkey "$P/ca.key" -CAcreateserial -days 20 -extfile "$P/ext" -out "$P/cert2.crt" 2>/dev/null ||
	die "openssl made no certificates"
printf 'correct horse\n' >"$P/psk"
chmod 600 "$P"/*
appliance_start || die "the appliance did not come up"
ike_punt ikep $AGENT || die "punt interface"
wait_for 10 test -S "$WORK/run/xfrm.sock" || die "no xfrm.sock"
ctl cert export IPsec --out "$P/ours.crt" >/dev/null && ctl cert upload "$P/ca.crt" --store IPsec-trust >/dev/null || die "certificates"

conn() { # NUMBER VERSION PROPOSALS ESP [cert]
	local name=${NAMES[$1 - 1]} at
	local auth="auth = psk" other="auth = psk
			id = $AGENT"
	at=$(sc_gw_ip "$1")
	[ $# = 4 ] || auth="auth = pubkey
			certs = $P/cert2.crt
			id = cert2.example" other="auth = pubkey
			certs = $P/ours.crt"
	cat <<-CONN
		connections { $name {
			version = $2
			mobike = no
			local_addrs = $at
			remote_addrs = $AGENT
			proposals = $3
			local { $auth
			}
			remote { $other
			}
			children { $name {
				local_ts = $at/32[udp/2427]
				remote_ts = $AGENT/32[udp/2727]
				esp_proposals = $4
			} }
		} }
		secrets { ike-$name { id = $at
			secret = "correct horse"
		} }
	CONN
}
{
	conn 1 2 default aes128gcm16
	conn 2 2 default default cert
	conn 3 1 aes128-sha1-modp2048 aes128-sha1
	conn 4 1 aes256-sha256-modp2048 aes256-sha256
	conn 5 2 default default
} >"$WORK/peer/swanctl.conf"
ike_charon peer "$NS_GW" libipsec || die "the gateways' charon did not start"
swan peer --load-all --file "$WORK/peer/swanctl.conf" >"$WORK/peer-load.log" 2>&1 || die "swanctl --load-all: $(tail -n 3 "$WORK/peer-load.log")"
ours() { ike_charon ours "$NS_APP" kernel LD_PRELOAD="$BUILD/controlplane/ike/libravelin-xfrm.so" RAVELIN_XFRM="$WORK/run/xfrm.sock"; }
ours || die "our charon did not start"

G() { # NUMBER OPTIONS...
	local n=$1
	shift
	ctl gateway add "${NAMES[$n - 1]}" --address "$(sc_gw_ip "$n")" --endpoint aaln/1 --ike-mode tunnel "$@" 2>>"$WORK/checks.log" >&2
}
is_up() { ctl_holds "show ike" "any(.[]; .gateway == \"$1\" and .state == \"up\")"; }
both() { ctl_holds "show sas" "[.[] | select(.gateway == \"$1\" and .state == \"live\").direction] | unique == [\"in\", \"out\"]"; }
# load NUMBER RATE SECONDS: keep-alives, until $WORK/enough is there or the time is over.
load() {
	in_gw timeout 300 python3 "$RAVELIN_TOP/tests/scenario/ike_keepalive.py" "$(sc_gw_ip "$1")" $AGENT:2727 "${NAMES[$1 - 1]}" "$2" "$3" "$WORK/enough" >"$WORK/load.json"
}
there() { # NUMBER: it is up
	local name=${NAMES[$1 - 1]}
	check "$name is up" wait_for 60 is_up "$name"
	check "$name: both directions are in the dataplane" wait_for 20 both "$name"
}
carries() { # NUMBER: it is up, and what is sent comes through, counted where it ought to be
	local name=${NAMES[$1 - 1]}
	there "$1"
	load "$1" 100 3
	check_json "$name: all answered: $(jq -c . "$WORK/load.json")" "$WORK/load.json" '.answered > 100 and .lost == 0'
	soon_ctl "$name: under its own SAs, both ways" 10 "show sas" \
		"[.[] | select(.gateway == \"$name\" and .state == \"live\")] | all(.[]; .auth_failed == 0 and .replayed == 0) and
		([.[] | select(.packets >= $(jq .answered "$WORK/load.json")) | .direction] | unique) == [\"in\", \"out\"]"
}
sc_capture "$NS_GW" gw0 "$WORK/gw0.pcap" || die tcpdump

step "packets over each connection"
check "IKEv2, pre-shared key" G 1 --ike 2 --ike-psk-file "$P/psk" --ike-proposal aes-gcm-128-sha256/x25519 --ike-esp aes-gcm-128
carries 1
check "IKEv2, certificates" G 2 --ike 2 --ike-cert --ike-remote-id cert2.example
carries 2
check "IKEv1, AES-CBC and SHA-1" G 3 --ike 1 --ike-psk-file "$P/psk" --ike-proposal aes-cbc-128-sha1/modp2048 --ike-esp aes-cbc-128-sha1
carries 3
check "IKEv1, AES-CBC and SHA-256, which the gateway begins" G 4 --ike 1 --ike-psk-file "$P/psk" --ike-begin wait \
	--ike-proposal aes-cbc-256-sha256/modp2048 --ike-esp aes-cbc-256-sha256
loaded() { swan ours --list-conns 2>/dev/null | grep -q "^$1:"; }
wait_for 20 loaded psk1b || bad "psk1b is loaded"
swan peer --initiate --child psk1b --timeout 15 >"$WORK/peer-init.log" 2>&1
carries 4

step "authentication anew, under load"
ike_sa() { ctl -j show ike | jq -r '.[] | select(.gateway == "again") | .ike_sa // ""'; }
is_new() { local id; id=$(ike_sa); is_up again && [ -n "$id" ] && [ "$id" != "$was" ]; }
# anew: three times, with 500 packets a second each way; $WORK/load.json.
anew() {
	local bg n
	rm -f "$WORK/enough"
	load 5 500 150 &
	bg=$!
	for n in 1 2 3; do
		was=$(ike_sa)
		check "$1: time $n" wait_for 60 is_new
	done
	touch "$WORK/enough"
	wait $bg
	rm -f "$WORK/enough"
}
check "a gateway that is to authenticate anew after 10 s" G 5 --ike 2 --ike-psk-file "$P/psk" --ike-reauth-s 10
there 5
# What the gateway sends under the new SAs before we have its answer that makes them is nobody's, and so is what is on its way under the old ones
# when it deletes them: some packets each time. That there is none to send under is what must not be.
no_sa() { ctl -j show counters | jq '[.workers[].drops.esp_no_sa // 0] | add'; }
before=$(no_sa) lines=$(wc -l <"$WORK/controlplane.log")
anew "anew"
say "anew: $(jq -c . "$WORK/load.json"), $(($(no_sa) - before)) under SAs that were not there yet"
gaps=$(tail -n +$((lines + 1)) "$WORK/controlplane.log" | grep -c -E 'id=gateway-no-sa .*subject="again"|event=gateway-state gateway=again state=no-sa|event=ike-state gateway=again state=(no-child|connecting|down)$|id=ike-down .*subject="again"')
check "anew: IKE was up and an SA there all the time ($gaps times not)" test "$gaps" = 0
check_json "anew: packets both ways" "$WORK/load.json" '.sent > 1000 and .answered > .sent / 2'
one_pair() { ctl_holds "show sas" '[.[] | select(.gateway == "again" and .state == "live").direction] | sort == ["in", "out"]'; }
check "anew: one pair of SAs is left" wait_for 30 one_pair

kill "$SC_CAP"
wait "$SC_CAP" 2>/dev/null
check "no MGCP in clear on the wire" test "$(tshark -r "$WORK/gw0.pcap" -Y 'udp.port == 2427' -T fields -e frame.number 2>/dev/null | wc -l)" = 0
ike_stop ours TERM
ike_stop peer TERM
check "the appliance stops cleanly" appliance_stop
sc_end
