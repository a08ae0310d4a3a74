#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# An SRST gateway's certificate, from the gateway into a phone's file: openssl s_server is the gateway's certificate provider. Fetched
# and shown, stored only by its fingerprint; a wrong port, plain TCP, a peer that hangs, a certificate that changes, chains that are
# not taken; kill -9 between fetching and accepting; gone from record and file when the reference is no longer secured. What explain
# says of the four conditions is what the file says.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# Rows: 001:P1-041; 004a:SRST-01, SRST-02; 004b:R-36 to R-38, SRST-01 to SRST-10, SRST-12; 004c:SR-01 to SR-06.
# May run beside another.
set -u
SC_NAME=srst
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

ns_up || die "network namespaces could not be made"
appliance_config "provision:
  listen: 10.77.1.1" || die "configuration"
appliance_start || die "the appliance did not come up"
D=$(sc_phone_name 1)
cd "$WORK" || exit 1

cert() { # NAME [openssl req options]: self-signed
	openssl req -x509 -newkey rsa:2048 -nodes -days 900 -subj "/O=Branch/CN=$1" -keyout "$1.key" -out "$1.crt" "${@:2}" 2>/dev/null
}
issued() { # NAME ISSUER EXTENSION
	openssl req -new -newkey rsa:2048 -nodes -subj "/O=Branch/CN=$1" -keyout "$1.key" -out "$1.csr" 2>/dev/null
	openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days 400 -extfile <(echo "$3") -out "$1.crt" 2>/dev/null
}
cert gw-a
cert gw-b
cert branch-ca -addext basicConstraints=critical,CA:TRUE
issued sub-ca branch-ca basicConstraints=critical,CA:TRUE
issued gw-c branch-ca basicConstraints=CA:FALSE
issued gw-d sub-ca basicConstraints=CA:FALSE
cat sub-ca.crt branch-ca.crt >deep.crt
print_of() { openssl x509 -in "$1.crt" -noout -fingerprint -sha256 | sed 's/.*=//'; }
hex_of() { print_of "$1" | tr -d : | tr A-F a-f; }

GW=
mkfifo idle
exec 9<>idle # s_server ends with its input
# provider NAME PORT [options]: the gateway's credential service; it asks for a certificate too
provider() {
	provider_stop
	ip netns exec "$NS_PHONE" openssl s_server -accept "10.77.1.10:$2" -cert "$1.crt" -key "$1.key" -verify 1 "${@:3}" >provider.out 2>&1 <&9 &
	GW=$!
	wait_for 10 eval "in_phone ss -Hltn 'sport = :$2' | grep -q ."
}
provider_stop() {
	[ -z "$GW" ] || {
		kill "$GW" 2>/dev/null
		wait "$GW" 2>/dev/null
	}
	GW=
}
refused() { # TEXT, WORDS OF THE REASON, COMMAND...
	local out
	out=$(ctl "${@:3}" 2>&1 >/dev/null)
	if [ $? = 1 ] && grep -q -- "$2" <<<"$out"; then ok "$1"; else bad "$1" "${out:-it was done}"; fi
}
file_says() { # XPATH
	in_phone timeout 90 curl -sf -o file.xml "http://10.77.1.1:6970/$D.cnf.xml" && xmllint --nonet --xpath "string($1)" file.xml
}
file_cert() { cmp -s <(file_says //srstInfo/certificate | tr -d ' \n\r' | base64 -d) <(openssl x509 -in "$1.crt" -outform DER); }
conditions() { ctl -j explain "$D" | jq -c '[.srst[].holds]'; }
holds() { # TEXT EXPECTED ISSECURE: explain, and the file
	local c s
	c=$(conditions)
	s=$(file_says //srstInfo/isSecure)
	if [ "$c" = "$2" ] && [ "$s" = "$3" ]; then ok "$1"; else bad "$1" "$c, isSecure $s"; fi
}

# --- a reference, and what is refused before anything is asked ---
ctl device add "$D" --mode encrypted >/dev/null || die "no device"
refused "a port of digits only" "Port Numbers can only contain digits." srst add branch --address 10.77.1.10 --secure --cert-port 24a5
refused "a port of the documents' range" "1024 to 49151" srst add branch --address 10.77.1.10 --secure --cert-port 443
check "an SRST reference" ctl srst add branch --address 10.77.1.10
check "a phone uses it" ctl device set "$D" --srst branch
refused "a reference that is not secured fetches nothing" "not secured" srst fetch branch
holds "of the four conditions, two hold" '[true,true,false,false]' false
check_ctl "securing it says whom to reset" "srst set branch --secure" '.phones == 1 and (.notice | test("until reset"))'
holds "without a certificate three hold, and the phone goes there in clear" '[true,true,true,false]' false

# --- peers that show nothing ---
refused "nobody listens" "credential service enabled" srst fetch branch
provider gw-a 2446
refused "another port than the reference's" "refuses" srst fetch branch
check "the port is set" ctl srst set branch --cert-port 2446
provider_stop
ip netns exec "$NS_PHONE" python3 - >plain.out 2>&1 <<-PY &
	import socket
	s = socket.create_server(('10.77.1.10', 2446))
	c, _ = s.accept()
	c.sendall(b'220 gateway ready\r\n')
	c.recv(4096)
	c.close()
	c, _ = s.accept()   # and one that says nothing: until the test ends it
	while c.recv(4096):
	    pass
PY
PLAIN=$!
wait_for 10 eval "in_phone ss -Hltn 'sport = :2446' | grep -q ."
refused "plain TCP" "no TLS handshake" srst fetch branch
refused "a peer that hangs" "did not end within 2 s" srst fetch branch --timeout 2
kill $PLAIN 2>/dev/null
wait $PLAIN 2>/dev/null
check_ctl "nothing is stored" "srst show branch" '.cert == null or .cert == ""'

# --- shown, accepted ---
provider gw-a 2446
ctl -j srst fetch branch >fetched.json 2>fetched.err || bad "fetched" "$(cat fetched.err)"
check_json "subject, issuer, serial, validity and fingerprint are shown" fetched.json \
	"(.certificate.subject | test(\"gw-a\")) and (.certificate.issuer | test(\"gw-a\")) and (.certificate.serial | length > 0) and (.certificate.not_before | length > 0) and (.certificate.not_after | length > 0) and .fingerprint == \"$(hex_of gw-a)\""
check "we showed the gateway no certificate" eval "! grep -q 'Client certificate' provider.out"
check_ctl "and nothing is stored" "srst show branch" ".waits_for_acceptance == \"$(hex_of gw-a)\" and .certificate == null"
holds "nor in the file" '[true,true,true,false]' false

# --- kill -9 between fetching and accepting ---
kill -9 "$(daemon_pid controlplane)"
daemon controlplane
wait_for 60 dataplane_up || die "the controlplane did not come back"
refused "what was seen before the end of the process is not accepted" "srst fetch branch" srst accept branch --fingerprint "$(print_of gw-a)"
check_ctl "nothing is stored" "srst show branch" '.certificate == null and .waits_for_acceptance == null and .secure'
check "fetched again" ctl srst fetch branch
refused "another fingerprint" "look at it first" srst accept branch --fingerprint "$(print_of gw-b)"
check_ctl "accepted by its fingerprint, colons and all" "srst accept branch --fingerprint $(print_of gw-a)" ".stored == \"$(hex_of gw-a)\" and .phones == 1"
kill -9 "$(daemon_pid controlplane)" # acknowledged is stored
daemon controlplane
wait_for 60 dataplane_up || die "the controlplane did not come back"
check_ctl "what was accepted is there after kill -9" "srst show branch" ".certificate.fingerprints.sha256 | ascii_downcase | gsub(\":\"; \"\") == \"$(hex_of gw-a)\""
holds "all four conditions hold" '[true,true,true,true]' true
check "the gateway's certificate is in the phone's file" file_cert gw-a

# --- a gateway with another certificate ---
provider gw-b 2446
refused "accepting needs a look" "no certificate was fetched" srst accept branch --fingerprint "$(print_of gw-b)"
check_ctl "the new one is shown as another" "srst fetch branch" '.certificate.stored == "another"'
provider gw-c 2446 # and it changes once more, after the look
refused "what was not shown is not stored" "look at it first" srst accept branch --fingerprint "$(print_of gw-c)"
check "rejected" ctl srst reject branch
refused "and forgotten" "no certificate was fetched" srst accept branch --fingerprint "$(print_of gw-b)"
check "the phone's file has the old one" file_cert gw-a
check_ctl "one of a CA, without the CA's" "srst fetch branch" '.certificate.issuer_shown == null'
provider gw-c 2446 -cert_chain branch-ca.crt
check_ctl "and with it" "srst fetch branch" '.certificate.issuer_shown == "branch-ca"'
check "accepted" ctl srst accept branch --fingerprint "$(hex_of gw-c)"
check "it is in the phone's file" file_cert gw-c
provider gw-d 2446 -cert_chain deep.crt
refused "a chain of two issuers" "one issuer" srst fetch branch
check "an old gateway's TLS 1.0 will do: the fingerprint is what counts" eval "provider gw-b 2446 -tls1 -cipher ALL:@SECLEVEL=0 && ctl srst fetch branch"
check "rejected" ctl srst reject branch

# --- conditions taken away, one by one; the box off ---
check "the phone is nonsecure" ctl device set "$D" --mode nonsecure
holds "its mode" '[true,false,true,false]' false
ctl device set "$D" --mode authenticated >/dev/null
holds "authenticated will do" '[true,true,true,true]' true
check_ctl "the box off: what to do at the gateway" "srst set branch --no-secure" '.phones == 1 and (.notice | test("disable the gateway.s credential service"))'
check_ctl "the certificate is gone from the record" "srst show branch" '(.cert == null or .cert == "") and .certificate == null'
holds "and from the file" '[true,true,false,false]' false
check "nothing of it is in the file" eval "[ -z \"$(file_says //srstInfo/certificate)\" ]"
check "the box on again" ctl srst set branch --secure
holds "everything is asked anew" '[true,true,true,false]' false
check "a non-secure cluster" ctl utils ctl set-cluster non-secure-mode
check "is ignored, not erased" eval "ctl_holds 'srst show branch' .secure"
holds "and the phone goes there in clear" '[false,false,true,false]' false
provider_stop
sc_end
