#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What an operator sees of media, on the whole appliance: a relay session with SRTP from ffmpeg on one side and plain RTP on
# the other. Captures of both sides judged by tshark and capinfos against what a sniffer on the wire saw and what was played
# (catalogue rows PC-01 to PC-16: what of them applies to media), their permission, audit, alarm and ends; a full disk; the
# trace; legs with their figures; telemetry. As root. RAVELIN_BUILD: build directory. Exit 0 or 1.
# May run beside another.
# Rows: 001:P1-148; 004c:PC-01 to PC-03, PC-06, PC-08, PC-09, PC-14.
set -u
SC_NAME=seeing
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../scripts/scenario.sh"
for t in tshark capinfos ffmpeg jq; do
	command -v $t >/dev/null || die "$t is not there"
done
PY=$here/rtp_party.py
SUITE=AES_CM_128_HMAC_SHA1_80
CAPS=$WORK/state/captures

step "appliance, captures switched off"
ns_up || die "network namespaces"
MAIN_LCORE=0 appliance_config
sed -i "s|^  main_lcore|  file_prefix: rvsee$$\n&|" "$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"
head -c 48000 /dev/urandom >"$WORK/audio.ul" # 300 frames, all unlike each other; ffmpeg puts two into a packet

key() { head -c 30 /dev/urandom | base64 -w0; }
session() { # sets SID LEG_A LEG_B TO_A TO_B K1
	local out
	K1=$(key)
	out=$(ctl -j session add --leg-a "remote=10.77.1.10:40000,region=phones,suite=$SUITE,rx-key=$K1,tx-key=$(key)" \
		--leg-b "remote=10.77.2.10:40004,region=gateways,suite=RTP") || die "session add: $out"
	SID=$(jq .id <<<"$out") LEG_A=$(jq .leg_a.id <<<"$out") LEG_B=$(jq .leg_b.id <<<"$out")
	TO_A=$(jq -r .leg_a.local <<<"$out") TO_B=$(jq -r .leg_b.local <<<"$out")
}
PORT_A() { echo "${TO_A##*:}"; }
play() { # to leg a as SRTP, heard behind leg b as RTP: $WORK/$1.heard
	local rx
	ip netns exec "$NS_GW" python3 "$PY" receive 10.77.2.10 40004 "$WORK/$1.heard" >"$WORK/$1.rx.log" 2>&1 &
	rx=$!
	wait_for 10 eval "ip netns exec $NS_GW ss -Hlun 'sport = :40004' | grep -q ." || die "no receiver"
	in_phone timeout 300 ffmpeg -nostdin -hide_banner -loglevel warning -readrate 4 -f mulaw -ar 8000 -ac 1 -i "$WORK/audio.ul" \
		-c copy -f rtp -payload_type 0 -srtp_out_suite $SUITE -srtp_out_params "$K1" \
		"srtp://$TO_A?localport=40000&localrtcpport=40001&pktsize=172" >"$WORK/$1.tx.log" 2>&1
	sleep 0.5
	kill -TERM $rx 2>/dev/null
	wait $rx
}
refused() { # CODE COMMAND...
	local code=$1 out
	shift
	out=$(ctl -j "$@") && return 1
	[ "$(jq -r .error.code <<<"$out")" = "$code" ]
}
payloads() { tshark -r "$1" -Y "ip.dst == 10.77.1.2 && udp.dstport == $(PORT_A)" -T fields -e udp.payload 2>/dev/null; }
ended() { ctl_holds "show captures" ".[] | select(.id == $1) | .state == \"ended\""; }
field() { ctl -j show captures | jq -r ".[] | select(.id == $1) | .$2"; }
audits() { ctl -j show audit --max 1000 | jq "[.[] | select(.event == \"$1\")] | length"; }
session
# PC-02, PC-03: none unless the service is switched on and the leg is asked for
check "PC-02 PC-03: off unless the configuration switches captures on" refused denied capture start --leg $LEG_A --side cipher --max-mb 1
check "who tried is in the audit" eval '[ "$(audits capture.refused)" = 1 ]'
check "no directory was made" test ! -e "$CAPS"

step "cipher only"
appliance_stop || bad "clean stop"
printf 'capture: {enabled: true}\n' >>"$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up again"
session
check "decrypted media are refused" refused denied capture start --leg $LEG_A --side plain --max-mb 1
check "PC-08: more than capture.max_mb is refused" refused invalid capture start --leg $LEG_A --side cipher --max-mb 300
check "PC-09: longer than capture.max_s is refused" refused invalid capture start --leg $LEG_A --side cipher --max-mb 1 --seconds 601
check "a leg that is not there is refused" refused not-found capture start --leg 8000 --side cipher --max-mb 1
appliance_stop || bad "clean stop"
sed -i '$d' "$WORK/ravelin.yaml"
printf 'capture: {enabled: true, plain: allow, max_s: 60}\n' >>"$WORK/ravelin.yaml"

step "both sides"
appliance_start || die "the appliance did not come up a third time"
session
# Not in_phone: a function runs in a shell of its own, which would get the signal in place of tshark.
ip netns exec "$NS_PHONE" timeout --foreground 600 tshark -q -i any -f "udp" -w "$WORK/wire.pcapng" >"$WORK/tshark.log" 2>&1 &
sniffer=$!
wait_for 10 test -s "$WORK/wire.pcapng"
C=$(ctl -j capture start --leg $LEG_A --side cipher --max-mb 5 | jq .id)
P=$(ctl -j capture start --leg $LEG_A --side plain --max-mb 5 | jq .id)
Q=$(ctl -j capture start --leg $LEG_B --side plain --max-mb 5 --snap-len 40 | jq .id)
check "three run" ctl_holds "show captures" '[.[] | select(.state == "running")] | length == 3'
check "an alarm stands for each plain one, none for cipher" ctl_holds "show alarms" '[.[] | select(.id == "capture-plain")] | length == 2'
check "its start is in the audit with leg, call and who" eval \
	"[ \"\$(ctl -j show audit | jq '[.[] | select(.event == \"capture.start\" and .leg == $LEG_A and .call == $SID and .who == \"uid 0\")] | length')\" = 2 ]"
play both
check "the call was not disturbed: audio equal, byte for byte" python3 "$PY" compare "$WORK/audio.ul" "$WORK/both.heard"
seen() { [ "$(payloads "$WORK/wire.pcapng" | wc -l)" -ge $(($(stat -c %s "$WORK/audio.ul") / 320)) ]; }
wait_for 10 seen # tshark writes when it comes to it
sleep 0.5
kill -TERM $sniffer
wait $sniffer
for id in $C $P $Q; do
	ctl capture stop $id >/dev/null || bad "capture stop $id"
	check "capture $id ends" wait_for 5 ended $id
done
check "PC-14: nothing runs behind them, no alarm" eval \
	'ctl_holds "show captures" "[.[] | select(.state != \"ended\")] | length == 0" && ctl_holds "show alarms" "[.[] | select(.id == \"capture-plain\")] | length == 0"'
check "their ends are in the audit" eval '[ "$(audits capture.end)" = 3 ]'
CF=$(field $C file) PF=$(field $P file) QF=$(field $Q file)
check "files are for their owner alone" eval "[ '$(stat -c %a "$CF" "$PF" "$QF" | sort -u)' = 600 ] && [ '$(stat -c %a "$CAPS")' = 700 ]"
count() { capinfos -Tmc "$1" 2>/dev/null | tail -1 | sed 's/.*[,\t]//'; }
for id in $C $P $Q; do
	check "capinfos takes file $id: $(count "$(field $id file)") packets" eval \
		"[ '$(count "$(field $id file)")' = '$(field $id packets)' ] && [ '$(field $id packets)' -ge 150 ] && [ '$(field $id lost)' = 0 ]"
done
# PC-06: time stamp, addresses, protocol, length, message
check "PC-06: a packet has time, addresses, ports, direction" eval \
	"[ \"\$(tshark -r $CF -Y 'udp.dstport == $(PORT_A)' -T fields -e ip.src -e udp.srcport -e ip.dst -e frame.packet_flags_direction 2>/dev/null | head -1)\" = \"\$(printf '10.77.1.10\t40000\t10.77.1.2\t0x00000001')\" ]"
payloads "$CF" >"$WORK/cipher.hex"
payloads "$WORK/wire.pcapng" >"$WORK/wire.hex"
check "PC-01b: cipher is what a sniffer on the wire saw, $(wc -l <"$WORK/cipher.hex") packets" eval \
	"[ \$(wc -l <$WORK/cipher.hex) -ge 150 ] && cmp $WORK/cipher.hex $WORK/wire.hex"
# The same packets, outbound, decode to the audio: what the wire of the other leg carries
tshark -r "$PF" -d udp.port==$(PORT_A),rtp -Y "rtp && udp.dstport == $(PORT_A)" -T fields -e rtp.payload 2>/dev/null | tr -d ':\n' | xxd -r -p >"$WORK/plain.ul"
check "PC-01c: plain decodes to what was played ($(stat -c %s "$WORK/plain.ul") bytes)" python3 "$PY" compare "$WORK/audio.ul" "$WORK/plain.ul"
check "plain has good checksums" eval \
	"[ \$(tshark -r $PF -o udp.check_checksum:TRUE -o ip.check_checksum:TRUE -Y 'udp.checksum.status == 0 || ip.checksum.status == 0' 2>/dev/null | wc -l) = 0 ]"
check "cipher holds nothing of the audio" eval "! xxd -p $WORK/cipher.hex >/dev/null || ! python3 - $WORK/audio.ul $CF <<-PY
	import sys
	a, c = open(sys.argv[1], 'rb').read(), open(sys.argv[2], 'rb').read()
	sys.exit(0 if any(a[i:i + 16] in c for i in range(0, len(a) - 16, 160)) else 1)
PY"
check "40 bytes of each packet, as asked" eval "[ \"\$(tshark -r $QF -T fields -e frame.cap_len 2>/dev/null | sort -u)\" = 40 ]"
check "no key in any file or log" eval "! grep -lF -e '$K1' $CF $PF $QF $WORK/{controlplane,dataplane}.log && ! python3 - '$K1' $CF $PF $QF $WORK/{controlplane,dataplane}.log <<-PY
	import base64, sys
	k = base64.b64decode(sys.argv[1])[:16]
	sys.exit(0 if any(k in open(f, 'rb').read() for f in sys.argv[2:]) else 1)
PY"

step "legs"
check_ctl "leg a: figures of what ffmpeg sent" "show legs --leg $LEG_A" \
	".[0] | .rx_packets >= 150 and .rx_lost == 0 and .rx_reordered == 0 and .auth_failed == 0 and .rx_suite == \"$SUITE\" and .rx_key_age_s != null"
check_ctl "by call" "show legs --call $SID" 'length == 2'
check_ctl "by region" "show legs --region gateways" "length == 1 and .[0].leg == $LEG_B"
check "as a table" eval "ctl show legs | grep -q '^LEG .*PROBLEMS'"
# Somebody without the key
in_phone python3 "$PY" send 10.77.1.10 40000 "$TO_A" "$WORK/audio.ul" --speed 100 --packets 5
soon_ctl "forged packets make a leg bad" 5 "show legs --bad --leg $LEG_A" '.[0] | .auth_failed >= 5 and (.problems | index("forgery") != null)'

step "trace"
ctl -j trace --leg $LEG_A --count 3 >"$WORK/trace.json" 2>&1 &
t=$!
# When it has begun is not said: packets come until it is over.
over() { # TO
	in_phone python3 "$PY" send 10.77.1.10 40000 "$1" "$WORK/audio.ul" --speed 20 --packets 10
	! kill -0 $t
}
check "a trace ends after its packets" wait_for 5 over "$TO_A"
check "each stage's verdict: forged at unprotect" eval \
	"[ \"\$(jq -s 'length == 3 and all(.verdict == \"auth\" and .at == \"unprotect\" and .stages.lookup == \"ok\" and .leg_in == $LEG_A and .src == \"10.77.1.10:40000\")' $WORK/trace.json)\" = true ]"
ctl trace --drops --port 30000 --count 1 >"$WORK/trace.txt" 2>&1 &
t=$!
wait_for 5 over 10.77.1.2:30000
check "a packet without a leg: $(cat "$WORK/trace.txt")" grep -q 'no_leg at lookup' "$WORK/trace.txt"
trace() { timeout -s INT "$1" "$BUILD/controlplane/ctl/ravelinctl" -s "$WORK/run/admin.sock" "${@:3}" trace --count "$2" --port 1; } # SECONDS COUNT
# Not by the function: what is killed would be a shell around it.
timeout -s INT 600 "$BUILD/controlplane/ctl/ravelinctl" -s "$WORK/run/admin.sock" trace --count 10000 --port 1 >/dev/null 2>&1 &
t=$!
busy() { [ "$(trace 5 1 -j | jq -r .error.code)" = busy ]; }
check "a second trace meanwhile is refused" wait_for 5 busy
kill -INT $t # timeout, which hands it on
wait $t
is_free() { trace 5 1 >/dev/null 2>&1; [ $? != 1 ]; }
check "interrupted, it is free again" wait_for 5 is_free

step "telemetry"
tel() { sc_tel "rvsee$$" "$1"; }
tel /ravelin/legs >"$WORK/tel_legs.json" 2>>"$WORK/checks.log"
tel /ravelin/leg,$LEG_A >"$WORK/tel_leg.json" 2>>"$WORK/checks.log"
check_json "/ravelin/legs" "$WORK/tel_legs.json" ".[\"/ravelin/legs\"] | index($LEG_A) != null and index($LEG_B) != null"
check_json "/ravelin/leg" "$WORK/tel_leg.json" ".[\"/ravelin/leg\"] | .leg == $LEG_A and .rx_pkts >= 150 and .rtp_lost == 0 and .auth_fail >= 5"

step "ends"
T=$(ctl -j capture start --leg $LEG_A --side plain --max-mb 1 --seconds 1 | jq .id)
check "PC-09: ends after its time" wait_for 5 ended $T
check "and says so" eval "[ '$(field $T end)' = time ]"
# A disk that is full in the middle of it
in_dp() { nsenter -t "$(daemon_pid dataplane)" -m "$@"; } # ip netns exec gave it mounts of its own
in_dp mount -t tmpfs -o size=32k,mode=700 tmpfs "$CAPS" || die "tmpfs"
D=$(ctl -j capture start --leg $LEG_A --side cipher --max-mb 5 | jq .id)
play disk
check "a full disk ends the capture" wait_for 5 ended $D
check "with an error, not with a broken file" eval \
	"[ '$(field $D end)' = failed ] && [ '$(field $D error)' = 'No space left on device' ] && [ '$(in_dp cat "$(field $D file)" >"$WORK/disk.pcapng"; count "$WORK/disk.pcapng")' = '$(field $D packets)' ] && [ '$(field $D packets)' -ge 50 ]"
check "and disturbs nobody: audio equal, byte for byte" python3 "$PY" compare "$WORK/audio.ul" "$WORK/disk.heard"
in_dp umount "$CAPS"
G=$(ctl -j capture start --leg $LEG_A --side plain --max-mb 1 | jq .id)
ctl session del $SID >/dev/null
check "the leg's end is the capture's" wait_for 5 ended $G
check "and says so" eval "[ '$(field $G end)' = 'leg gone' ]"
check "no alarm stands" ctl_holds "show alarms" '[.[] | select(.id == "capture-plain")] | length == 0'
# The controlplane dies: what it started ends with the next one, which knows nothing of it
session
ctl capture start --leg $LEG_A --side plain --max-mb 1 >/dev/null || bad "capture start"
{ kill -9 "$(daemon_pid controlplane)"; wait "$(daemon_pid controlplane)"; } 2>/dev/null
daemon controlplane
wait_for 60 dataplane_up || bad "the controlplane did not return"
check "an orphan ends" wait_for 10 grep -q "event=capture-end .*end=1" "$WORK/dataplane.log"

appliance_stop 2>>"$WORK/checks.log"
check "clean stop, every packet buffer returned" test $? = 0 -a "$(grep -c 'event=stopped mbufs_leaked=0' "$WORK/dataplane.log")" = 3
check "no sanitizer report" eval "! grep -El 'AddressSanitizer|runtime error|LeakSanitizer' $WORK/*.log"
sc_end
