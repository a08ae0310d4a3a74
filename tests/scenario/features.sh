#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Hold, resume and transfer through a whole appliance: a phone in Python that can have two calls, between two simulated phones
# over SRTP, which hear each other at the end, octet by octet; and the one that waits hears the music on hold, over SRTP too.
# Then the controlplane is killed in a call that was transferred, and in one that is parked and hears music all the while; a lamp is lit, and the records of all these calls are exported.
# Every message of these phones is captured as an administrator would, and judged by tshark.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# May run beside another; takes long.
# Then two phones in Python with different codecs, of which one is protected (codecs.py), the region table, and a device type's package.
# Rows: 000:P0-13, P0-28, P0-30; 001:P1-111, P1-119, R-18; 004a:CALL-03, CALL-13, WEB-12; 004c:PC-01.
set -u
SC_NAME=feat
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

ns_up || die "network namespaces could not be made"
sc_phones $(seq 1 8)
sc_speech 12
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d' "$WORK/ravelin.yaml"
printf 'capture: {enabled: true, signalling: allow}\n' >>"$WORK/ravelin.yaml"
mkdir -p "$WORK/moh"
music() { /usr/bin/python3 -W ignore "$RAVELIN_TOP/tests/scenario/music_heard.py" "$@"; }
music make "$WORK/moh/hold.wav" || die "music"
cat >>"$WORK/ravelin.yaml" <<-YAML
	moh:
	  directory: $WORK/moh
	  user: hold
	  network: hold
	  sources: [{name: hold, file: hold.wav}, {name: none, file: none.wav}]
YAML
printf 'calls: {park: 8000-8009, park_reversion_s: 600}\n' >>"$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"
step "devices"
for n in 1 2 3 4 5 6; do sc_device "$n" encrypted || die "device $n"; done
check_ctl "the music is there, and what is missing is said" "show music" 'map(.loaded) == [true, false]'
check_ctl "which is an alarm" "show alarms" 'any(.[]; .id == "music-missing" and .subject == "none")'
sc_capture "$NS_APP" app0 "$WORK/app0.pcap" || die tcpdump
CAP=$SC_CAP
check "signalling of every phone is captured" sc_signalling_begin -- SEP0000000A000{1..6}

# boss N FIRST SECOND [--blind]: the phone that transfers.
boss() {
	local n=$1 name
	name=$(sc_phone_name "$n")
	in_phone timeout 90 /usr/bin/python3 "$RAVELIN_TOP/tests/scenario/features.py" --host 10.77.1.1 --name "$name" --cert "$WORK/$name.pem" \
		--ca "$WORK/ca.pem" --media-ip "$(sc_phone_ip "$n")" --first "$2" --second "$3" "${@:4}" >"$WORK/b$n.json" 2>"$WORK/b$n.log"
}
# ends A B: they talk for a while, then A hangs up.
ends() {
	wait_for 15 registered "$1" && wait_for 15 registered "$2" || bad "phones $1 and $2 are registered"
	sleep 4
	phone_signal "$1" USR1
}
# transfer TEXT BOSS A C [--blind]
transfer() {
	local text=$1 b=$2 a=$3 c=$4 pa pc
	phone "$a" --answer=0.2 --play "$WORK/a.wav" --loop --record "$WORK/p$a.wav" --played "$WORK/p$a.ul" &
	pa=$!
	phone "$c" --answer=0.7 --play "$WORK/b.wav" --loop --record "$WORK/p$c.wav" --played "$WORK/p$c.ul" &
	pc=$!
	wait_for 15 registered "$a" && wait_for 15 registered "$c" || bad "$text: phones register"
	check "$text: $(sc_phone_name "$b") does its part" boss "$b" $((1000 + a)) $((1000 + c)) "${@:5}"
	check_json "$text: on hold and afterwards it hears nothing, and no key came twice" "$WORK/b$b.json" \
		'.held == 0 and .after == 0 and .open == 0 and .keys >= 4 and .keys == .distinct'
	soon_ctl "$text: one call, of the two others" 5 "show calls" "[.[] | select(.from == \"$((1000 + a))\" or .to == \"$((1000 + a))\")] |
		length == 1 and (.[0] | .state == \"connected\" and .security == \"encrypted\" and
		([.from, .to] | sort) == [\"$((1000 + a))\", \"$((1000 + c))\"])"
	if [ "${KILL:-0}" = 1 ]; then
		check "$text: captures end" sc_signalling_stop
		kill -9 "$(daemon_pid controlplane)"
		wait "$(daemon_pid controlplane)" 2>/dev/null
		daemon controlplane
		wait_for 15 dataplane_up || bad "$text: it comes back"
		check "$text: signalling is captured again" sc_signalling_begin -- SEP0000000A000{1..3}
		soon_ctl "$text: and knows of it" 10 "show calls" "any(.[]; .adopted and .state == \"connected\")"
	fi
	ends "$a" "$c"
	wait $pa
	check "$text: $(sc_phone_name "$a") ends it" test $? = 0
	wait $pc
	check "$text: $(sc_phone_name "$c") is let go" test $? = 0
	# Two holds (and a packet in twenty that a busy machine lost), the second one while the other phone is called; in what comes behind them, none.
	music heard "$WORK/moh/hold.wav" "$WORK/p$a.wav" "$WORK/p$a.rest.wav" >"$WORK/m$a.json"
	check_json "$text: $(sc_phone_name "$a") heard the music while it waited, in order, and not afterwards" "$WORK/m$a.json" \
		'.music >= 40 and .runs + .wrong >= 2 and .runs + .wrong <= 4 + .music / 20 and .behind > 100'
	check_json "$text: nothing forged, nothing replayed" "$WORK/p$c.json" '.call[0].media.received | .packets > 100 and .auth_failed == 0'
	check_json "$text: both streams are SRTP" "$WORK/p$a.json" '.call[0].media | .sent.suite != "RTP" and .received.suite != "RTP"'
	heard "$text: $(sc_phone_name "$c") hears $(sc_phone_name "$a")" "$WORK/p$a.ul" "$WORK/p$c.wav"
	heard "$text: $(sc_phone_name "$a") hears $(sc_phone_name "$c")" "$WORK/p$c.ul" "$WORK/p$a.rest.wav"
}
# What was played to somebody else before, or into a closed channel, is missing at the beginning; and the speech is one of 12 s, again
# and again.
heard() {
	local out
	out=$("$SIM/ravelin-phonesim" --compare "$2" "$3" --min-frames 100 --edge 100000 --tail 100000 2>&1)
	if [ $? = 0 ]; then ok "$1 ($(jq -r '"\(.matched_frames) frames"' <<<"$out"))"; else bad "$1" "$out"; fi
}

step "attended"
transfer attended 1 2 3
step "blind"
transfer blind 4 5 6 --blind
step "controlplane killed"
KILL=1 transfer killed 1 2 3

step "park"
# Parked, then the controlplane is killed, then somebody else has it; and a lamp that is lit before its phone comes.
check "a message waits" ctl mwi 1005 on
phone 4 --answer=0.2 --play "$WORK/a.wav" --loop --record "$WORK/p4.wav" --played "$WORK/p4.ul" &
P4=$!
wait_for 15 registered 4 || bad "phone 4 registers"
check "phone 5 parks" boss 5 1004 1004 --park
check_json "it read where, and its lamp is lit" "$WORK/b5.json" '.at == "8000" and .lamp == 2'
check_ctl "the call waits there" "show calls" 'length == 1 and (.[0] | .state == "connected" and .from == "8000" and .to == "1004")'
soon_ctl "to music" 5 "show music" 'any(.[]; .source == "hold" and .parties == 1)'
PARKED=$(date +%s%N)
check "park: captures end" sc_signalling_stop
kill -9 "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)" 2>/dev/null
daemon controlplane
wait_for 15 dataplane_up || bad "park: the controlplane comes back"
check "park: signalling is captured again" sc_signalling_begin -- SEP0000000A000{4..6}
soon_ctl "after a kill it still does" 10 "show calls" 'any(.[]; .adopted and .from == "8000")'
wait_for 15 registered 4 || bad "phone 4 comes back"
soon_ctl "and to music" 5 "show music" 'any(.[]; .source == "hold" and .parties == 1)'
WAITED=$((($(date +%s%N) - PARKED) / 20000000)) # in packets
phone 6 --dial 8000 --play "$WORK/b.wav" --loop --record "$WORK/p6.wav" --played "$WORK/p6.ul" &
P6=$!
soon_ctl "phone 6 takes it" 10 "show calls" 'any(.[]; .state == "connected" and ([.from, .to] | sort) == ["1004", "1006"])'
ends 4 6
wait $P6
check "phone 6 has it" test $? = 0
wait $P4
check "until phone 4 ends it" test $? = 0
music heard "$WORK/moh/hold.wav" "$WORK/p4.wav" "$WORK/p4.rest.wav" >"$WORK/m4.json"
# The kill is within it: neither the gap nor the new beginning that a second start would be. (A busy machine loses a packet in a hundred.)
check_json "phone 4 heard the music as long as it was parked, in order, and not afterwards" "$WORK/m4.json" \
	".music >= $((WAITED / 2)) and .runs == 1 and .wrong <= .music / 100 and .skip <= 10 and .behind > 100"
heard "phone 6 hears phone 4" "$WORK/p4.ul" "$WORK/p6.wav"
heard "phone 4 hears phone 6" "$WORK/p6.ul" "$WORK/p4.rest.wav"
check_ctl "the lamp is lit still" "show mwi" '[.[].number] == ["1005"]'

step "call detail records"
soon_ctl "no call is left" 5 "show calls" 'length == 0'
exported() { # a record is written behind its call
	rm -f "$WORK/cdr.csv" "$WORK/cdr.json"
	ctl cdr export --output "$WORK/cdr.csv" && ctl cdr export --json --output "$WORK/cdr.json" && [ "$(jq -s length "$WORK/cdr.json")" -ge 13 ]
}
check "they are exported, and as JSON too" wait_for 10 exported
# three transfers, each of three records; a call, its parking, the dialling and the call that came of it
check_equal_text() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "$2, not $3"; fi; }
check_equal_text "thirteen of them" "$(jq -s length "$WORK/cdr.json")" 13
check_equal_text "and a header in the table" "$(wc -l <"$WORK/cdr.csv")" 14
check_equal_text "what was split went on as one call" "$(jq -s '[.[] | select(.cause != 126 or .joined_id != null) | .global_id] | length == (unique | length)' "$WORK/cdr.json")" true
check_equal_text "after a kill as well" "$(jq -s 'any(.[]; .adopted and .cause == 16 and .origin == "park" and .called == "1004" and .calling == "1006")' "$WORK/cdr.json")" true
check_equal_text "with their lock, and what was counted" "$(jq -s '[.[] | select(.origin == "transfer") | .security_worst == "encrypted" and .a_rx_packets > 0 and .b_tx_packets > 0] | length == 3 and all' "$WORK/cdr.json")" true
check_equal_text "by number" "$(ctl -j cdr list --number 8000 | jq -s 'length')" 2

step "codecs"
for n in 7 8; do sc_device "$n" authenticated || die "device $n"; done
ctl device set "$(sc_phone_name 7)" --model 7962 --protected >/dev/null || bad "a protected phone"
# codecs RULE PAIR...: the two phones call each other with these codecs (SCCP's numbers), in clear.
codecs() {
	local n7 n8
	n7=$(sc_phone_name 7) n8=$(sc_phone_name 8)
	in_phone timeout 60 /usr/bin/python3 "$RAVELIN_TOP/tests/scenario/codecs.py" --host 10.77.1.1 --ca "$WORK/ca.pem" --number 1008 --name "$n7" "$n8" \
		--cert "$WORK/$n7.pem" "$WORK/$n8.pem" --media-ip "$(sc_phone_ip 7)" "$(sc_phone_ip 8)" "$@" >"$WORK/codecs.json" 2>"$WORK/codecs.log"
}
check "calls with all kinds of codecs" codecs 6,4:4,6 11,4:16,2 86:86 4:2
check_json "G.722: both directions, payload type 9" "$WORK/codecs.json" '.[0] | .a.codec == 6 and .b.codec == 6 and .a_hears == [9] and .b_hears == [9]'
check_json "G.729: each its own variant, payload type 18" "$WORK/codecs.json" '.[1] | .a.codec == 11 and .a_sends == 11 and .b.codec == 16 and .a_hears == [18] and .b_hears == [18]'
check_json "iLBC: payload type and frames are told" "$WORK/codecs.json" '.[2] | .a.codec == 86 and .a.pt == 116 and .a.mode == 20 and .b_hears == [116]'
check_json "no common codec: no call" "$WORK/codecs.json" '.[3] | .state == 7'
check_json "the protected phone hears that the call is not secure, the other one nothing" "$WORK/codecs.json" '.[0] | .a_tones == [[73, 0]] and .b_tones == []'
check "a rule for the region" ctl region set phones = --max-kbps 8
check "a call under it" codecs 4,11:4,11
check_json "has the codec that it allows" "$WORK/codecs.json" '.[0] | .a.codec == 11 and .b_hears == [18]'
check_ctl "explain says whose rule it is" "region explain $(sc_phone_name 7) $(sc_phone_name 8)" '.rule.max_kbps == 8 and .rule.max_kbps_from == "phones phones"'
check_ctl "and is exported" export '.regions == [.regions[] | select(.a == "phones" and .b == "phones" and .max_kbps == 8)] and (.regions | length == 1)'

step "device types"
check "a package" ctl devtype install "$RAVELIN_TOP/config/devtype.json.example"
check_ctl "is a type that is not trusted" "show devtypes" 'any(.[]; .name == "ACME 100" and .trust == "Device Is Not Trusted" and (.modes | length) == 3)'
check "a phone of another type has no mode that nobody switched on" eval '! ctl device set "$(sc_phone_name 8)" --model "Other 7" --mode encrypted 2>/dev/null'
check "one of that type has" ctl device set "$(sc_phone_name 8)" --model "ACME 100"

kill $CAP
wait $CAP 2>/dev/null
step "the wire"
check "no key on it" python3 "$RAVELIN_TOP/scripts/wire.py" keys "$WORK/app0.pcap" --keys "$WORK/p2.keys" "$WORK/p3.keys" "$WORK/p5.keys" "$WORK/p6.keys"

step "every message that was exchanged"
check "captures end" sc_signalling_stop
sc_signalling_check "tshark takes them for SCCP" 300

step "what is left"
soon_ctl "no call is left" 5 "show calls" 'length == 0'
check_ctl "no leg is left" "show legs" 'length == 0'
appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
check "every mbuf returned" grep -q 'event=stopped.*mbufs_leaked=0' "$WORK/dataplane.log"
sc_end
