#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Media keys through SAs that IKE made: a whole appliance, charon beside it with libravelin-xfrm.so, three gateways behind an unmodified
# strongSwan with kernel-libipsec, each with IKE as its record has it by default, MGCP's ports as selectors. ravelin-gwsim behind IKEv2 and
# behind IKEv1 with AES-CBC and SHA-1: calls in SRTP, new keys before and behind a renewal of ESP in the middle of them. osmo-mgw behind IKEv2: audit,
# a call in RTP through a kill -9 of the controlplane, what is left there swept up. Every key is in the tunnel and none on the wire.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# May run beside another.
# Rows: 001:P1-026, P1-103; 004a:GW-01; 004c:MG-05.
set -u
SC_NAME=ikecall
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
. "$RAVELIN_TOP/scripts/ike.sh"

AGENT=10.77.2.2
GW1=$(sc_gw_ip 1) GW2=$(sc_gw_ip 2) MGW=$(sc_gw_ip 3)
keyscan=$BUILD/tests/xval/keyscan
[ -x "$keyscan" ] || die "$keyscan is not there: build first"
ns_up || die "network namespaces could not be made"
sc_phones 1 2 3
for n in 1 2 3; do ip -n "$NS_GW" addr add "$(sc_gw_ip $n)/24" dev gw0; done
sc_speech 30
sox "$WORK/b.wav" -t ul "$WORK/b.ul" || die sox
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d; s|^      addresses: \[10.77.2.2/24.*|&\n      punt: ikep|' "$WORK/ravelin.yaml"
printf 'ike: {enable: true, source: socket, vici: %s/ours/vici}\n' "$WORK" >>"$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"
ike_punt ikep $AGENT || die "punt interface"
wait_for 10 test -S "$WORK/run/xfrm.sock" || die "no xfrm.sock"
issued() { ctl cert issue "$(sc_phone_name "$1")" --out "$WORK"; } # a key of RSA takes as long as it takes
for n in 1 2 3; do sc_device $n encrypted || wait_for 120 issued $n || die "device $n"; done

# The gateways' side. kernel-libipsec leads all that goes to the other host into its tunnel by a route of its own (table 220), and drops
# there what no selector is for: media. So rules before charon's: MGCP into the tunnel or nowhere, all else by the common routes. But for ICMP: who
# says in clear that a port is closed quotes what came there in the tunnel.
mkdir "$WORK/peer"
cat >"$WORK/peer/swanctl.conf" <<CONF
connections {
  gw1 {
    version = 2
    mobike = no
    local_addrs = $GW1
    remote_addrs = $AGENT
    local { auth = psk
    }
    remote { auth = psk
      id = $AGENT
    }
    children { gw1 {
      local_ts = $GW1/32[udp/2427]
      remote_ts = $AGENT/32[udp/2727]
      esp_proposals = aes128gcm16
    } }
  }
  gw2 {
    version = 1
    local_addrs = $GW2
    remote_addrs = $AGENT
    proposals = aes128-sha1-modp2048
    local { auth = psk
    }
    remote { auth = psk
      id = $AGENT
    }
    children { gw2 {
      local_ts = $GW2/32[udp/2427]
      remote_ts = $AGENT/32[udp/2727]
      esp_proposals = aes128-sha1
    } }
  }
  mgw {
    version = 2
    mobike = no
    local_addrs = $MGW
    remote_addrs = $AGENT
    local { auth = psk
    }
    remote { auth = psk
      id = $AGENT
    }
    children { mgw {
      local_ts = $MGW/32[udp/2427]
      remote_ts = $AGENT/32[udp/2727]
      esp_proposals = aes128gcm16
    } }
  }
}
secrets {
  ike-gw1 {
    id = $GW1
    secret = "correct horse 1"
  }
  ike-gw2 {
    id = $GW2
    secret = "correct horse 2"
  }
  ike-mgw {
    id = $MGW
    secret = "correct horse 3"
  }
}
CONF
ike_charon peer "$NS_GW" libipsec || die "the gateways' charon did not start"
swan peer --load-all --file "$WORK/peer/swanctl.conf" >"$WORK/peer-load.log" 2>&1 || die "swanctl --load-all: $(tail -n 3 "$WORK/peer-load.log")"
in_gw ip rule add pref 199 to $AGENT ipproto icmp prohibit && in_gw ip rule add pref 200 to $AGENT ipproto udp dport 2727 lookup 220 && in_gw ip rule add pref 201 to $AGENT ipproto udp dport 2727 prohibit &&
	in_gw ip rule add pref 202 to $AGENT lookup main &&
	in_gw sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.ipsec0.rp_filter=0 ||
	die "the gateways' routes"
cat >"$WORK/mgw.cfg" <<CFG
mgcp
 domain mgw
 bind ip $MGW
 bind port 2427
 rtp bind-ip $MGW
 rtp port-range 4002 4998
 sdp audio-payload number 0
 sdp audio-payload name PCMU/8000
 number endpoints 16
CFG
in_gw osmo-mgw -c "$WORK/mgw.cfg" >"$WORK/mgw.out" 2>&1 &
MGW_PID=$!
mgw_there() { in_gw ss -Hlun "src $MGW:2427" | grep -q .; }
wait_for 20 mgw_there || die "osmo-mgw did not start: $(tail -n 3 "$WORK/mgw.out")"
sc_capture "$NS_PHONE" phone0 "$WORK/phone0.pcap" || die tcpdump
CAPS=("$SC_CAP")
sc_capture "$NS_GW" gw0 "$WORK/gw0.pcap" || die tcpdump
CAPS+=("$SC_CAP")
sc_capture "$NS_GW" ipsec0 "$WORK/inside.pcap" || die tcpdump
CAPS+=("$SC_CAP")

step "IKE from the gateways' records"
for n in 1 2 3; do printf 'correct horse %d\n' $n >"$WORK/psk$n" && chmod 600 "$WORK/psk$n"; done
G() { ctl gateway add "$@" --region gateways 2>>"$WORK/checks.log" >&2; }
check "IKEv2 with a pre-shared key" G gw1.example --address "$GW1" --endpoint aaln/1 --number '901*' --ike 2 --ike-psk-file "$WORK/psk1" --ike-mode tunnel
check "IKEv1 main mode, AES-CBC and SHA-1" G gw2.example --address "$GW2" --endpoint aaln/1 --number '902*' --ike 1 --ike-psk-file "$WORK/psk2" \
	--ike-mode tunnel --ike-proposal aes-cbc-128-sha1/modp2048 --ike-esp aes-cbc-128-sha1
check "osmo-mgw, IKEv2" G mgw --address "$MGW" --endpoint rtpbridge/1 --endpoint rtpbridge/2 --number '903*' --ike 2 --ike-psk-file "$WORK/psk3" --ike-mode tunnel
gw_state() { ctl_holds "show gateways" "any(.[]; .name == \"$1\" and .state == \"$2\")"; }
check "without an SA nothing is sent to any" wait_for 10 eval 'gw_state gw1.example no-sa && gw_state gw2.example no-sa && gw_state mgw no-sa'
ike_charon ours "$NS_APP" kernel LD_PRELOAD="$BUILD/controlplane/ike/libravelin-xfrm.so" RAVELIN_XFRM="$WORK/run/xfrm.sock" || die "our charon did not start"
soon_ctl "all three are up" 60 "show ike" 'length == 3 and all(.[]; .state == "up")'
check_ctl "as they were asked to be" "show ike" '[.[] | [.gateway, .version, .children[0].algorithm]] | sort ==
	[["gw1.example", 2, "AES_GCM_16-128"], ["gw2.example", 1, "AES_CBC-128/HMAC_SHA1_96"], ["mgw", 2, "AES_GCM_16-128"]]'
soon_ctl "six SAs of IKE's, and no others" 20 "show sas" 'length == 6 and all(.[]; .source == "ike" and .state == "live")'

# heard TEXT PLAYED RECORDED: what was heard is what was played, from wherever it began to be heard: how soon is the machine's to say.
heard() {
	local out
	out=$("$SIM/ravelin-phonesim" --compare "$2" "$3" --min-frames 80 --edge 1500 --tail 1500 2>&1)
	if [ $? = 0 ]; then ok "$1 ($(jq -r '"\(.matched_frames) frames"' <<<"$out"))"; else bad "$1" "$out"; fi
}
# called PHONE GATEWAY: a call that stands, CALL is its number.
called() {
	wait_for 40 ctl_holds "show calls" "any(.[]; .from == \"100$1\" and .state == \"connected\")" || bad "$2: connected"
	CALL=$(ctl -j show calls | jq ".[] | select(.from == \"100$1\").id")
}
# new_keys: by MDCX, of the call that stands. One by age may be under way.
new_keys() { ctl -j rekey "${CALL:-0}" >"$WORK/rekey.json" 2>>"$WORK/checks.log" && [ "$(jq '[.[].done] == [true]' "$WORK/rekey.json")" = true ]; }
of_gw() { ctl -j show ike | jq -r ".[] | select(.gateway == \"$1\") | $2"; }
connection='.gateway[0].connections[0]'
# keyed_call TEXT PHONE N: a call in SRTP, new keys, ESP renewed, new keys, hung up.
keyed_call() {
	local text=$1 a=$2 g=$3 pg pp was spi
	SC_GW_S=200 gateway "$g" --answer-after 0.3 --calls 1 --play "$WORK/b.wav" --record "$WORK/g$g.wav" --played "$WORK/g$g.ul" &
	pg=$!
	wait_for 60 gateway_up "$g" || bad "$text: the gateway comes up"
	SC_PHONE_S=200 phone "$a" --dial "90${g}5551#" --play "$WORK/a.wav" --record "$WORK/p$a.wav" --played "$WORK/p$a.ul" --duration 180 &
	pp=$!
	called "$a" "$text"
	check "$text: new keys by MDCX" wait_for 30 new_keys
	was=$(of_gw "gw$g.example" .child_rekeys) spi=$(of_gw "gw$g.example" '.children[0].spi_out')
	check "$text: ESP is renewed in the call" swan ours --rekey --child "gw$g.example"
	soon_ctl "$text: it is counted, and we send under another SPI" 30 "show ike" \
		".[] | select(.gateway == \"gw$g.example\") | .child_rekeys == ${was:-0} + 1 and .state == \"up\" and any(.children[]; .spi_out != \"$spi\")"
	check "$text: new keys under the new ESP" wait_for 30 new_keys
	check "$text: and media, enough to be judged" wait_for 30 ctl_holds "show legs" 'length == 2 and all(.[]; .rx_packets > 250)'
	phone_signal "$a" USR1
	wait $pp
	check "$text: the phone's end" test $? = 0
	wait $pg
	check "$text: the gateway's end" test $? = 0
	check_json "$text: encrypted, as the phone is shown, all the time" "$WORK/p$a.json" '.call[0] | .connected and .security_sequence[-1] == 3'
	check_json "$text: two renewals, SRTP both ways, nothing lost" "$WORK/g$g.json" "$connection | .rekeys == 2 and
		(.media | .sent.suite != \"none\" and .received.suite == .sent.suite and .received.packets > 100 and .received.lost == 0 and .received.auth_failed == 0)"
	check_json "$text: nothing malformed in MGCP" "$WORK/g$g.json" ".gateway[0] | .bad_messages == 0 and .verbs.CRCX == 1 and .verbs.MDCX == 3 and .verbs.DLCX == 1"
	heard "$text: the gateway heard the phone" "$WORK/p$a.ul" "$WORK/g$g.wav"
	heard "$text: the phone heard the gateway" "$WORK/g$g.ul" "$WORK/p$a.wav"
}
step "a call in SRTP behind IKEv2"
keyed_call "IKEv2" 1 1
step "a call in SRTP behind IKEv1, AES-CBC and SHA-1"
keyed_call "IKEv1" 2 2

step "osmo-mgw"
line() { in_gw timeout 400 /usr/bin/python3 "$RAVELIN_TOP/tests/scenario/mgw_line.py" "$MGW" $AGENT:2727 ipsec0 "$@"; }
soon_ctl "it is up: AUEP was answered" 60 "show gateways" '.[] | select(.name == "mgw") | .state == "up"'
soon_ctl "its endpoints were asked, and are in service" 60 "show gateways" '.[] | select(.name == "mgw") | .endpoints_in_service == 2 and .takes_calls'
SC_PHONE_S=200 phone 3 --dial 9035551# --play "$WORK/a.wav" --record "$WORK/p3.wav" --played "$WORK/p3.ul" --duration 180 &
PP=$!
wait_for 40 ctl_holds "show calls" 'any(.[]; .from == "1003" and .state == "alerting")' || bad "osmo-mgw: it rings"
CALL=$(ctl -j show calls | jq '.[] | select(.from == "1003").id')
REF=$(printf %08X "${CALL:-0}")
line rtpbridge/1@mgw "$REF" "$REF" "$GW1:19000" "$WORK/b.ul" "$WORK/mgw-played.ul" "$WORK/mgw-heard.ul" >"$WORK/line.json" 2>>"$WORK/checks.log" &
LINE=$!
called 3 "osmo-mgw"
soon_ctl "a call in RTP to osmo-mgw, packets both ways" 30 "show legs" "[.[] | select(.call == ${CALL:-0})] | length == 2 and all(.[]; .rx_packets > 100) and
	any(.[]; .party == \"mgw\" and .suite == \"RTP\")"
LEFT=$(line rtpbridge/2@mgw CAFE 2>>"$WORK/checks.log")
check "a connection that nobody here owns" test "$(line rtpbridge/2@mgw CAFE "${LEFT:-0}")" = 200
IKE_SA=$(of_gw mgw .ike_sa)
kill -9 "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)" 2>/dev/null
daemon controlplane
wait_for 60 dataplane_up || die "the controlplane did not come back"
soon_ctl "killed: all three are up" 60 "show ike" 'length == 3 and all(.[]; .state == "up")'
check "killed: by the same IKE SA" test "$(of_gw mgw .ike_sa)" = "$IKE_SA"
soon_ctl "killed: osmo-mgw is up, and its endpoints in service" 60 "show gateways" '.[] | select(.name == "mgw") | .state == "up" and .endpoints_in_service == 2'
swept() { [ "$(line rtpbridge/2@mgw CAFE "${LEFT:-0}")" -ge 400 ]; }
check "killed: what nobody owns is deleted there" wait_for 60 swept
soon_ctl "killed: the call was taken over, and stands" 30 "show calls" 'any(.[]; .from == "1003" and .state == "connected")'
was=$(ctl -j show legs | jq "[.[] | select(.call == ${CALL:-0}).rx_packets] | add")
soon_ctl "killed: it is still talking" 30 "show legs" "[.[] | select(.call == ${CALL:-0}).rx_packets] | add > ${was:-0} + 200"
soon_ctl "killed: the phone is back" 60 "show registrations" "any(.[]; .device == \"$(sc_phone_name 3)\")"
phone_signal 3 USR1
soon_ctl "it hangs up: no call is left" 30 "show calls" 'length == 0'
wait $PP
kill -TERM $(pgrep -f "^/usr/bin/python3 $RAVELIN_TOP/tests/scenario/mgw_line.py .*$WORK/b.ul") 2>/dev/null
wait $LINE
check_json "osmo-mgw carried it: $(jq -c . "$WORK/line.json")" "$WORK/line.json" '.received > 100 and .deleted == 250'
sox -t ul -r 8000 -c 1 "$WORK/mgw-heard.ul" -e mu-law "$WORK/mgw-heard.wav" 2>>"$WORK/checks.log"
heard "the line behind osmo-mgw heard the phone" "$WORK/p3.ul" "$WORK/mgw-heard.wav"
heard "the phone heard the line" "$WORK/mgw-played.ul" "$WORK/p3.wav"

step "the wires"
for n in 1 2 3; do check_ctl "gateway $n: packets went both ways under the SAs of IKE" "show sas" \
	"[.[] | select(.gateway == \"$([ $n = 3 ] && echo mgw || echo gw$n.example)\" and .state == \"live\")] | ([.[].direction] | unique) == [\"in\", \"out\"] and all(.[]; .packets > 0 and .auth_failed == 0)"; done
kill "${CAPS[@]}"
wait "${CAPS[@]}" 2>/dev/null
jq -r 'select(.kind | test("srtp")) | .key + .salt, .key' "$WORK"/g[12].keys | sort -u >"$WORK/keys.hex"
check "three keys each way in each call: $(($(wc -l <"$WORK/keys.hex") / 2))" test "$(wc -l <"$WORK/keys.hex")" = 24
found=$("$keyscan" "$WORK/keys.hex" "$WORK/gw0.pcap" "$WORK/phone0.pcap")
[ $? = 0 ] && ok "no key on a wire, in raw, hex or base64" || bad "no key on a wire" "$(head -3 <<<"$found" | tr '\n' ' ')"
none=0
while read -r key; do
	printf '%s\n' "$key" >"$WORK/one.hex"
	"$keyscan" "$WORK/one.hex" "$WORK/inside.pcap" >/dev/null
	[ $? = 1 ] || none=$((none + 1))
done <"$WORK/keys.hex"
check "control: each of them is found in the tunnel ($none are not)" test $none = 0
count() { tshark -r "$1" -Y "$2" -T fields -e frame.number 2>>"$WORK/checks.log" | wc -l; }
check "no MGCP in clear on the wire, and ESP" test "$(count "$WORK/gw0.pcap" 'udp.port == 2427 || udp.port == 2727')" = 0 -a "$(count "$WORK/gw0.pcap" esp)" -gt 50
MSGS=$(count "$WORK/inside.pcap" mgcp) BADS=$(count "$WORK/inside.pcap" '_ws.malformed or _ws.expert.severity == error')
check "tshark: $MSGS messages of MGCP in the tunnel, $BADS malformed" test "$MSGS" -gt 50 -a "$BADS" = 0

ike_stop ours TERM
ike_stop peer TERM
kill $MGW_PID
check_ctl "no leg is left" "show legs" 'length == 0'
appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
check "every mbuf returned" grep -q 'event=stopped.*mbufs_leaked=0' "$WORK/dataplane.log"
sc_end
