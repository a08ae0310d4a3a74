#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# ffmpeg as an SRTP party nobody here wrote: legs keyed by 'ravelinctl session add' carry G.711 from ffmpeg and to
# ffmpeg, to and from plain RTP, between two SRTP parties with different keys, over IPv4 and IPv6. What arrives must
# be what left, byte for byte. Wrong keys must be counted and relay nothing; a deleted session must free its legs.
# As root. RAVELIN_BUILD: build directory (default: build/ of this repository). Exit 0 or 1.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
NS=rvff$$
. "$here/../../scripts/lib.sh"
. "$here/../../scripts/netns.sh"
BUILD=$(realpath "${RAVELIN_BUILD:-$here/../../build}")
. "$here/../../scripts/appliance.sh"
need_root
WORK=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-ffmpeg.XXXXXX")
chmod 700 "$WORK"
PASSED=0 FAILED=0 PIDS=
cleanup() {
	trap - EXIT INT TERM
	[ -z "$PIDS" ] || kill -9 $PIDS 2>/dev/null
	ns_down
	[ $FAILED = 0 ] && rm -rf "$WORK" || say "logs are in $WORK"
}
trap cleanup EXIT
trap 'FAILED=1; exit 1' INT TERM
check() { # TEXT COMMAND...
	local text=$1
	shift
	if "$@" >>"$WORK/checks.log" 2>&1; then
		PASSED=$((PASSED + 1))
		say "  ok    $text"
	else
		FAILED=$((FAILED + 1))
		say "  FAIL  $text"
	fi
}
bail() {
	FAILED=$((FAILED + 1))
	tail -n 5 "$WORK"/*.log >&2
	die "$*"
}

step "appliance"
ns_up || bail "network namespaces"
MAIN_LCORE=0 appliance_config
sed -i 's|^    - {address: 10.77.2.2, region: gateways}|&\n    - {address: "2001:db8:1::2", region: phones6}\n    - {address: "2001:db8:2::2", region: gateways6}|' "$WORK/ravelin.yaml"
appliance_start || bail "the appliance did not come up"

# Noise in which each 160 bytes are unlike all others: a lost, doubled or displaced frame cannot pass.
head -c 64000 /dev/urandom >"$WORK/audio.ul"
key() { head -c 30 /dev/urandom | base64 -w0; }
S80=AES_CM_128_HMAC_SHA1_80 S32=AES_CM_128_HMAC_SHA1_32

declare -A SENT_TO SID LEG_A LEG_B
PORT=40000
# Addresses of a party: side a is in the phone's namespace, b in the gateway's.
ip_of() { case $1 in a4) echo 10.77.1.10 ;; b4) echo 10.77.2.10 ;; a6) echo 2001:db8:1::10 ;; b6) echo 2001:db8:2::10 ;; esac; }
region_of() { case $1 in a4) echo phones ;; b4) echo gateways ;; a6) echo phones6 ;; b6) echo gateways6 ;; esac; }
ns_of() { case $1 in a*) echo "$NS_PHONE" ;; *) echo "$NS_GW" ;; esac; }
hostport() { case $1 in *:*) echo "[$1]:$2" ;; *) echo "$1:$2" ;; esac; }
bound() { ip netns exec "$(ns_of "$1")" ss -Hlun "sport = :$2" | grep -q .; }

# Under the name of RFC 4568 ffmpeg shortens the SRTCP tag too, against that RFC's section 6.2.2; not under this one.
ff_suite() { [ "$1" = $S32 ] && echo SRTP_AES128_CM_HMAC_SHA1_32 || echo "$1"; }

# receiver NAME SIDE PORT SUITE KEY: starts it; what it heard goes to NAME.heard
receiver() {
	local name=$1 side=$2 port=$3 suite=$4 key=$5 ip fam=IP4
	ip=$(ip_of "$side")
	case $side in *6) fam=IP6 ;; esac
	if [ "$suite" = RTP ]; then
		ip netns exec "$(ns_of "$side")" python3 "$here/rtp_party.py" receive "$ip" "$port" "$WORK/$name.heard" >"$WORK/$name.rx.log" 2>&1 &
	else
		cat >"$WORK/$name.sdp" <<-SDP
			v=0
			o=- 0 0 IN $fam $ip
			s=-
			c=IN $fam $ip
			t=0 0
			m=audio $port RTP/SAVP 0
			a=crypto:1 $(ff_suite "$suite") inline:$key
		SDP
		ip netns exec "$(ns_of "$side")" ffmpeg -nostdin -hide_banner -loglevel warning -protocol_whitelist file,udp,rtp,srtp,crypto,data \
			-i "$WORK/$name.sdp" -c copy -f mulaw -flush_packets 1 -y "$WORK/$name.heard" >"$WORK/$name.rx.log" 2>&1 &
	fi
	PIDS="$PIDS $!"
	RX_PIDS="${RX_PIDS:-} $!"
	wait_for 20 bound "$side" "$port" || bail "$name: the receiver did not bind port $port"
}

# sender NAME SIDE PORT SUITE KEY TO: plays the audio at four times its speed
sender() {
	local name=$1 side=$2 port=$3 suite=$4 key=$5 to=$6
	if [ "$suite" = RTP ]; then
		ip netns exec "$(ns_of "$side")" python3 "$here/rtp_party.py" send "$(ip_of "$side")" "$port" "$to" "$WORK/audio.ul" --speed 4 \
			>"$WORK/$name.tx.log" 2>&1 &
	else
		ip netns exec "$(ns_of "$side")" ffmpeg -nostdin -hide_banner -loglevel warning -readrate 4 -f mulaw -ar 8000 -ac 1 \
			-i "$WORK/audio.ul" -c copy -f rtp -payload_type 0 -srtp_out_suite "$(ff_suite "$suite")" -srtp_out_params "$key" \
			"srtp://$to?localport=$port&localrtcpport=$((port + 1))&pktsize=172" >"$WORK/$name.tx.log" 2>&1 &
	fi
	PIDS="$PIDS $!"
	TX_PIDS="${TX_PIDS:-} $!"
}

# session NAME FROM SUITE TO SUITE [KEY THE SENDER REALLY HAS] [KEY THE RECEIVER REALLY HAS]
session() {
	local name=$1 from=$2 from_suite=$3 to=$4 to_suite=$5 k1 k2 spec_a spec_b out
	k1=$(key) k2=$(key)
	PORT=$((PORT + 10))
	spec_a=remote=$(hostport "$(ip_of "$from")" $PORT),region=$(region_of "$from"),suite=$from_suite
	spec_b=remote=$(hostport "$(ip_of "$to")" $((PORT + 4))),region=$(region_of "$to"),suite=$to_suite
	[ "$from_suite" = RTP ] || spec_a=$spec_a,rx-key=$k1,tx-key=$(key)
	[ "$to_suite" = RTP ] || spec_b=$spec_b,rx-key=$(key),tx-key=$k2
	out=$(ctl -j session add --leg-a "$spec_a" --leg-b "$spec_b") || bail "$name: session add was refused: $out"
	SID[$name]=$(jq .id <<<"$out")
	LEG_A[$name]=$(jq .leg_a.id <<<"$out")
	LEG_B[$name]=$(jq .leg_b.id <<<"$out")
	SENT_TO[$name]=$(jq -r .leg_a.local <<<"$out")
	receiver "$name" "$to" $((PORT + 4)) "$to_suite" "${7:-$k2}"
	STARTS+=("$name $from $PORT $from_suite ${6:-$k1} ${SENT_TO[$name]}")
}

step "sessions"
# From ffmpeg to RTP, from RTP to ffmpeg, from ffmpeg to ffmpeg with other keys and another suite; IPv4, IPv6, mixed.
STARTS=()
GOOD="in80 in32 out80 out32 rekey80 rekey32 suites in80v6 out80v6 rekey46 rekey64"
session in80 a4 $S80 b4 RTP
session in32 a4 $S32 b4 RTP
session out80 b4 RTP a4 $S80
session out32 b4 RTP a4 $S32
session rekey80 a4 $S80 b4 $S80
session rekey32 a4 $S32 b4 $S32
session suites b4 $S32 a4 $S80
session in80v6 a6 $S80 b6 RTP
session out80v6 b6 RTP a6 $S80
session rekey46 a4 $S80 b6 $S80
session rekey64 b6 $S80 a4 $S80
session wrongtx a4 $S80 b4 RTP "$(key)"
session wrongrx a4 $S80 b4 $S80 "" "$(key)"
AUTH0=$(ctl -j show counters | jq '[.workers[].drops.auth // 0] | add')
say "${#SID[@]} sessions, receivers wait"

step "audio"
for s in "${STARTS[@]}"; do
	sender $s
done
ended() { # PIDS...
	local p
	for p in "$@"; do
		kill -0 "$p" 2>/dev/null && return 1
	done
	return 0
}
wait_for 60 ended $TX_PIDS || bail "a sender does not end"
sleep 1
# SIGTERM lets ffmpeg write what it holds
kill -TERM $RX_PIDS 2>/dev/null
wait_for 10 ended $RX_PIDS || bail "a receiver does not end"
PIDS=
ctl -j show legs >"$WORK/legs.json" || bail "show legs"
ctl -j show counters >"$WORK/counters.json" || bail "show counters"

# leg NAME a|b FIELD
leg() {
	local id=${LEG_A[$1]}
	[ "$2" = a ] || id=${LEG_B[$1]}
	jq --argjson id "$id" ".[] | select(.leg == \$id) | .$3" "$WORK/legs.json"
}
for n in $GOOD; do
	check "$n: audio equal, byte for byte ($(stat -c %s "$WORK/$n.heard" 2>/dev/null || echo 0) bytes)" \
		python3 "$here/rtp_party.py" compare "$WORK/audio.ul" "$WORK/$n.heard"
	check "$n: nothing failed authentication, $(leg $n a rx_packets) packets in, $(leg $n b tx_packets) out" \
		eval "[ '$(leg $n a auth_failed)' = 0 ] && [ '$(leg $n a rx_packets)' -ge 200 ] && [ '$(leg $n a rx_packets)' = '$(leg $n b tx_packets)' ] && [ '$(leg $n b tx_rtcp)' = '$(leg $n a rx_rtcp)' ]"
	check "$n: no complaint of the receiver" eval "! grep -qi 'hmac\|error' $WORK/$n.rx.log"
done
check "ffmpeg's own SRTCP verified ($(leg in80 a rx_rtcp) + $(leg in32 a rx_rtcp) reports)" \
	eval "[ '$(leg in80 a rx_rtcp)' -ge 1 ] && [ '$(leg in32 a rx_rtcp)' -ge 1 ]"

step "wrong keys"
check "sender's key is wrong: $(leg wrongtx a auth_failed) packets failed authentication" eval "[ '$(leg wrongtx a auth_failed)' -ge 200 ]"
check "sender's key is wrong: nothing relayed" eval "[ '$(leg wrongtx b tx_packets)' = 0 ] && [ ! -s $WORK/wrongtx.heard ]"
check "sender's key is wrong: leg not latched, counter moved" eval \
	"[ '$(leg wrongtx a rx_packets)' = 0 ] && [ $(jq '[.workers[].drops.auth // 0] | add' "$WORK/counters.json") -ge $((AUTH0 + 200)) ]"
check "receiver's key is wrong: ffmpeg refuses what it gets" eval \
	"[ '$(leg wrongrx b tx_packets)' -ge 200 ] && [ ! -s $WORK/wrongrx.heard ]"
# The commands that must be refused outright
same=$(key)
check "one key for both directions is refused" eval "! ctl session add --leg-a remote=10.77.1.10:5000,region=phones,suite=$S80,rx-key=$same,tx-key=$same --leg-b remote=10.77.2.10:5000,region=gateways"
check "a key of 29 bytes is refused" eval "! ctl session add --leg-a remote=10.77.1.10:5000,region=phones,suite=$S80,rx-key=$(head -c 29 /dev/urandom | base64),tx-key=$same --leg-b remote=10.77.2.10:5000,region=gateways"
check "an IPv6 party in an IPv4 region is refused" eval "! ctl session add --leg-a 'remote=[2001:db8:1::10]:5000,region=phones' --leg-b remote=10.77.2.10:5000,region=gateways"

step "deletion"
check "${#SID[@]} sessions are there" ctl_holds "show calls" "length == ${#SID[@]}"
for n in "${!SID[@]}"; do
	ctl session del "${SID[$n]}" >>"$WORK/checks.log" 2>&1 || bail "session del $n"
done
check "no sessions after session del" ctl_holds "show calls" "length == 0"
check "no legs after session del" ctl_holds "show legs" "length == 0"
no_leg() { ctl -j show counters | jq '[.workers[].drops.no_leg // 0] | add'; }
before=$(no_leg)
in_phone python3 "$here/rtp_party.py" send 10.77.1.10 41000 "${SENT_TO[in80]}" "$WORK/audio.ul" --speed 100 --packets 20 ||
	bail "sender"
gone() { [ "$(no_leg)" -ge $((before + 20)) ]; }
check "its port takes nothing any more" wait_for 3 gone
check "deleting it again is refused" eval "! ctl session del ${SID[in80]}"

appliance_stop 2>>"$WORK/checks.log"
check "clean stop, every packet buffer returned" test $? = 0 -a "$(grep -c 'event=stopped mbufs_leaked=0' "$WORK/dataplane.log")" = 1
check "no sanitizer report" eval "! grep -El 'AddressSanitizer|runtime error|LeakSanitizer' $WORK/dataplane.log $WORK/controlplane.log $WORK/signer.log"
printf '%d passed, %d failed\n' $PASSED $FAILED
[ $FAILED = 0 ]
