#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Voice-mail ports: records by server, whose mode new ports take; registration of ports whose certificates a stranger's root (openssl)
# signed that lies in CallManager-trust: secure ones by TLS, others in clear, and none where the two ends' modes differ.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# Rows: 001:P1-022, P1-042, P1-043; 004a:PKI-08, PKI-09, SVC-05; 004b:PKI-06, R-34, R-35, VM-01, VM-02, VM-04, VM-06, VM-08 to VM-11.
# May run beside another.
set -u
SC_NAME=voicemail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

ns_up || die "network namespaces could not be made"
appliance_config || die "configuration"
appliance_start || die "the appliance did not come up"
sc_device 1 encrypted || die "no device" # brings ca.pem, which the ports trust us by
cd "$WORK" || exit 1
root() {
	openssl req -x509 -newkey rsa:2048 -nodes -days 900 -subj "/CN=$1" -addext keyUsage=critical,keyCertSign,cRLSign \
		-keyout "$1.key" -out "$1.crt" 2>/dev/null
}
port_cert() { # PORT ROOT FILE DAYS
	openssl req -new -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$3.key" -out "$3.csr" 2>/dev/null
	openssl x509 -req -in "$3.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days "$4" -out "$3.crt" 2>/dev/null
	cat "$3.key" "$3.crt" >"$3.pem"
}
root unity
root stranger
port_cert CiscoUM-VI1 unity vi1 400
port_cert CiscoUM-VI2 unity vi2 400
port_cert CiscoUM-VI1 stranger bad 400
# connect PORT [phonesim options]: registers and goes again, or does not
connect() { in_phone timeout -k 2 90 "$SIM/ravelin-phonesim" --server 10.77.1.1 --name "$1" --timeout 30 --retry 0 --duration 1 "${@:2}" >sim.log 2>&1 </dev/null; }
tls() { connect "$1" --tls --cert "$2.pem" --ca ca.pem; }
clear() { connect "$1" --tcp; }
not() { ! "$@"; }
alarm() { check_ctl "$1" "show alarms" "any(.[]; .id == \"$2\" and .subject == \"$3\" and (.text | test(\"$4\")))"; }

check_ctl "a server, non-secure unless said" "vm server add CiscoUM --ports 2" '.mode == "nonsecure" and .ports == ["CiscoUM-VI1","CiscoUM-VI2"]'
check "its ports take one mode" not ctl vm server add CiscoUM --ports 1 --mode encrypted
check "a non-secure port registers in clear" clear CiscoUM-VI1
check "before its issuer is trusted no TLS" not tls CiscoUM-VI1 vi1
check "Unity's root into CallManager-trust" ctl cert upload unity.crt --store CallManager-trust
check "modes differ: a non-secure port by TLS does not register" not tls CiscoUM-VI1 vi1
alarm "and an alarm says the remedy" sccp-tls-nonsecure CiscoUM-VI1 "set them equal"
for n in 1 2; do check "port $n is secured" ctl vm port set "CiscoUM-VI$n" --mode encrypted; done
check_ctl "more ports take the server's mode" "vm server add CiscoUM --ports 1" '.mode == "encrypted" and .ports == ["CiscoUM-VI3"]'
check "another server" ctl vm server add Unity2 --ports 1 --mode authenticated
check_ctl "ports by mode" "show vm --mode encrypted" '[.[].port] | sort == ["CiscoUM-VI1","CiscoUM-VI2","CiscoUM-VI3"]'
check_ctl "the others" "show vm --mode nonsecure" 'length == 0'
check "a secure port registers by TLS" tls CiscoUM-VI1 vi1
check "modes differ: a secure port in clear does not" not clear CiscoUM-VI1
alarm "and an alarm says the remedy" sccp-clear-registration CiscoUM-VI1 "set them equal"
check "with another port's certificate it does not" not tls CiscoUM-VI1 vi2
check "nor with a stranger's" not tls CiscoUM-VI1 bad
check "in its own it does again" tls CiscoUM-VI1 vi1
check "the root goes" ctl cert delete "$(openssl x509 -in unity.crt -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr A-F a-f)" --store CallManager-trust
check "and the ports with it" not tls CiscoUM-VI1 vi1
check "in a non-secure cluster" ctl utils ctl set-cluster non-secure-mode
check "a port registers in clear, whatever its record says" clear CiscoUM-VI1
check_ctl "and the record says what it said" "show vm --mode encrypted" 'any(.[]; .port == "CiscoUM-VI1")'
check "a port is deleted" ctl vm port del CiscoUM-VI3
sc_end
