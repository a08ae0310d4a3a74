# SPDX-License-Identifier: BSD-3-Clause
# What the whole-appliance scenarios share: an appliance between phones and gateways, checks, tidying up. Sourced by
# tests/scenario/*.sh after SC_NAME is set; brings lib.sh, netns.sh and appliance.sh with it.
#
# Cases may run side by side (in the background): checks are lines of $WORK/results, counted at the end.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
NS=${NS:-rv${SC_NAME:0:4}$$}
. "$RAVELIN_TOP/scripts/netns.sh"
. "$RAVELIN_TOP/scripts/appliance.sh"
need_root
BUILD=$(cd "${RAVELIN_BUILD:-$RAVELIN_TOP/build}" && pwd) || die "no build directory: build first, or set RAVELIN_BUILD"
SIM=$BUILD/bench/sim
[ -x "$SIM/ravelin-phonesim" ] || die "$SIM/ravelin-phonesim is not there: build first"
# DPDK's memory and libraries that outlive main are not ours to free.
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$RAVELIN_TOP/tests/scenario/lsan.supp:print_suppressions=0}
HUGE=${HUGE:-never}

WORK=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-$SC_NAME.XXXXXX")
chmod 700 "$WORK"
: >"$WORK/results"
SC_DONE=0

sc_cleanup() {
	local rc=1
	trap - EXIT INT TERM
	ns_down
	if [ $SC_DONE = 1 ]; then
		rc=$SC_RC
	fi
	if [ $rc = 0 ] && [ "${KEEP_WORK:-0}" = 0 ]; then
		rm -rf "$WORK"
	else
		say "logs and reports are in $WORK"
	fi
	exit $rc
}
trap sc_cleanup EXIT
trap 'say interrupted; sc_cleanup' INT TERM

ok() {
	printf 'ok    %s\n' "$1" | tee -a "$WORK/results"
}
bad() {
	printf 'FAIL  %s%s\n' "$1" "${2:+ ($2)}" | tee -a "$WORK/results"
}
# check TEXT COMMAND...: the command decides.
check() {
	local text=$1
	shift
	if "$@" >/dev/null 2>>"$WORK/checks.log"; then ok "$text"; else bad "$text"; fi
}
# check_json TEXT FILE FILTER: the filter says true of a file that says something.
check_json() {
	local out
	out=$(jq -c "$3" "$2" 2>&1)
	if [ "$out" = true ]; then ok "$1"; else bad "$1" "$3 of $2 is ${out:-empty}"; fi
}
# check_ctl TEXT COMMAND FILTER: the appliance answers, and the filter says true of it.
check_ctl() {
	local out
	out=$(ctl -j $2 2>&1 | jq -c "$3" 2>&1)
	if [ "$out" = true ]; then ok "$1"; else bad "$1" "$3 of $2 is ${out:-empty}"; fi
}
soon_ctl() { # TEXT SECONDS COMMAND FILTER
	if wait_for "$2" ctl_holds "$3" "$4"; then ok "$1"; else check_ctl "$1" "$3" "$4"; fi
}
# Media may begin and end seconds apart on a busy machine: what is between must be equal, and MIN-FRAMES of it. CHECK_EDGE: how much may
# be missing at the beginning; where all is played in a loop, and no part of it is silence, any number.
check_equal() { # TEXT PLAYED RECORDED MIN-FRAMES
	local out
	out=$("$SIM/ravelin-phonesim" --compare "$2" "$3" --min-frames "${4:-100}" --edge "${CHECK_EDGE:-180}" --tail 600 2>&1)
	if [ $? = 0 ]; then
		ok "$1 ($(jq -r '"\(.matched_frames) frames"' <<<"$out"))"
	else
		bad "$1" "$out"
	fi
}

# sc_end: counts, and ends the script.
sc_end() {
	local passed failed
	# A sanitizer's report is a failure, whatever else was seen.
	if grep -l -E 'ERROR: (Address|Leak)Sanitizer|runtime error:' "$WORK"/*.log >"$WORK/sanitizer" 2>/dev/null; then
		bad "no sanitizer report" "$(tr '\n' ' ' <"$WORK/sanitizer")"
	fi
	passed=$(grep -c '^ok ' "$WORK/results")
	failed=$(grep -c '^FAIL ' "$WORK/results")
	say "$passed passed, $failed failed"
	SC_DONE=1
	SC_RC=1
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ] && SC_RC=0
	exit $SC_RC
}

# Two WAV files of $1 seconds that hold something else in every frame: a.wav, b.wav.
sc_speech() {
	local f=500
	for s in a b; do
		sox -n -r 8000 -c 1 -e mu-law -b 8 "$WORK/$s.wav" synth "$1" sine $f-$((f * 3)) synth "$1" pinknoise mix vol 0.6 2>/dev/null ||
			die "sox made no sound"
		f=700
	done
}

sc_phone_name() { printf 'SEP0000000A%04d' "$1"; }
sc_phone_ip() { printf '10.77.1.%d' $((20 + $1)); }

# sc_phones N...: an address each in the phones' namespace.
sc_phones() {
	local n
	for n in "$@"; do ip -n "$NS_PHONE" addr add "$(sc_phone_ip "$n")/24" dev phone0; done
}
# sc_device N MODE [ctl options]: device and line 1000+N; a certificate unless it is nonsecure.
sc_device() {
	local n=$1 mode=$2
	shift 2
	ctl device add "$(sc_phone_name "$n")" --mode "$mode" --line $((1000 + n)) --region phones "$@" >/dev/null || return 1
	[ "$mode" = nonsecure ] && return
	# the signer may make another key just now, for longer than it is waited for
	for _ in 1 2 3 4; do ctl cert issue "$(sc_phone_name "$n")" --out "$WORK" >/dev/null 2>>"$WORK/checks.log" && return; done
	ctl cert issue "$(sc_phone_name "$n")" --out "$WORK" >/dev/null
}
# phone N [phonesim options]: in the foreground; report $WORK/pN.json, keys pN.keys, events pN.events.
phone() {
	local n=$1 name
	name=$(sc_phone_name "$n")
	shift
	set -- --name "$name" --source "$(sc_phone_ip "$n")" --rtcp 1 --timeout 30 --report "$WORK/p$n.json" --events="$WORK/p$n.events" \
		--dump-keys "$WORK/p$n.keys" "$@"
	case " $* " in
	*" --tcp "*) ;;
	*) set -- --tls --cert "$WORK/$name.pem" --ca "$WORK/ca.pem" "$@" ;;
	esac
	in_phone timeout -k 2 "${SC_PHONE_S:-150}" "$SIM/ravelin-phonesim" --server 10.77.1.1 "$@" >"$WORK/p$n.log" 2>&1 </dev/null
}
registered() { ctl_holds 'show registrations' "any(.[]; .device == \"$(sc_phone_name "$1")\")"; }

# sc_tel PREFIX COMMAND: what DPDK's telemetry socket of the dataplane with that file_prefix answers.
sc_tel() {
	python3 - "$2" "/run/dpdk/$1/dpdk_telemetry.v2" <<-PY
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.settimeout(60)
		s.connect(sys.argv[2])
		s.recv(4096)
		s.send(sys.argv[1].encode())
		print(s.recv(65536).decode())
	PY
}

sc_gw_ip() { printf '10.77.2.%d' $((10 + $1)); }
# gateway N [gwsim options]: gwN.example at 10.77.2.(10+N), in the foreground; report $WORK/gN.json.
gateway() {
	local n=$1
	shift
	in_gw timeout -k 2 "${SC_GW_S:-300}" "$SIM/ravelin-gwsim" --listen "$(sc_gw_ip "$n")" --agent 10.77.2.2:2727 --name "gw$n.example" \
		--endpoint aaln/1 --rtcp 1 --report "$WORK/g$n.json" --events="$WORK/g$n.events" --dump-keys "$WORK/g$n.keys" "$@" \
		>"$WORK/g$n.log" 2>&1 </dev/null
}
gateway_up() { ctl_holds 'show gateways' "any(.[]; .name == \"gw$1.example\" and .state == \"up\")"; }
# sc_uat FROM TO SPI HEX: an SA for tshark, by the length of its key AES-GCM-128, or AES-CBC-128 with HMAC-SHA1.
sc_uat() {
	local cipher="AES-GCM with 16 octet ICV [RFC4106]" key=$4 mac=NULL auth=
	[ ${#4} = 40 ] || cipher="AES-CBC [RFC3602]" key=${4:0:32} mac="HMAC-SHA-1-96 [RFC2404]" auth=0x${4:32}
	printf 'uat:esp_sa:"IPv4","%s","%s","0x%08x","%s","0x%s","%s","%s"\n' "$1" "$2" "$3" "$cipher" "$key" "$mac" "$auth" >>"$WORK/uat"
}
# sc_shark TEXT CAPTURE LEAST VERB...: what a stranger's dissectors make of MGCP in ESP, by the keys of sc_sas: at least so many messages, these verbs
# among them, nothing malformed, no packet of ESP that holds anything else.
sc_shark() {
	local text=$1 frames=$2.frames least=$3 uat=() esp inside bad verb missing=
	while IFS= read -r verb; do uat+=(-o "$verb"); done <"$WORK/uat"
	tshark -r "$2" -o esp.enable_encryption_decode:TRUE -o esp.enable_authentication_check:TRUE "${uat[@]}" -Y 'esp || mgcp' -T fields -E separator=';' \
		-e esp.spi -e mgcp -e _ws.malformed -e _ws.expert.severity -e mgcp.req.verb >"$frames" 2>>"$WORK/checks.log"
	shift 3
	esp=$(awk -F';' '$1 != ""' "$frames" | wc -l) inside=$(awk -F';' '$1 != "" && $2 != ""' "$frames" | wc -l)
	bad=$(awk -F';' '$3 != "" || $4 ~ /8388608/' "$frames" | wc -l)
	for verb in "$@"; do awk -F';' -v v="$verb" '$1 != "" && index("," $5 ",", "," v ",") { n++ } END { exit !n }' "$frames" || missing="$missing $verb"; done
	check "$text: tshark: $inside messages of MGCP in $esp packets of ESP" test "$inside" -ge "$least" -a "$inside" = "$esp"
	check "$text: tshark: $bad malformed" test "$bad" = 0
	check "$text: tshark: $* are among them${missing:+, but for$missing}" test -z "$missing"
}
# sc_sas N ALG MODE: draws keys, makes both SAs, sets SA_OPTS for gwsim; tells sc_shark of them.
sc_sas() {
	local n=$1 alg=$2 mode=$3 in out len=20
	[ "$alg" = aes-gcm-128 ] || len=36
	in=$(rand_hex $len)
	out=$(rand_hex $len)
	ctl sa add "gw$n-in" --gateway "gw$n.example" --in --spi $((0x1100 + n)) --mode "$mode" --alg "$alg" \
		--local 10.77.2.2 --remote "$(sc_gw_ip "$n")" <<<"$in" >/dev/null || return 1
	ctl sa add "gw$n-out" --gateway "gw$n.example" --out --spi $((0x2100 + n)) --mode "$mode" --alg "$alg" \
		--local 10.77.2.2 --remote "$(sc_gw_ip "$n")" <<<"$out" >/dev/null || return 1
	sc_uat "$(sc_gw_ip "$n")" 10.77.2.2 $((0x1100 + n)) "$in"
	sc_uat 10.77.2.2 "$(sc_gw_ip "$n")" $((0x2100 + n)) "$out"
	if [ "$alg" = aes-gcm-128 ]; then
		in="key=$in" out="key=$out"
	else
		in="key=${in:0:32},auth=${in:32}" out="key=${out:0:32},auth=${out:32}"
	fi
	SA_OPTS=(--sa-out "spi=$((0x1100 + n)),$in,alg=$alg,mode=$mode" --sa-in "spi=$((0x2100 + n)),$out,alg=$alg,mode=$mode")
}
# sc_capture NAMESPACE INTERFACE FILE: tcpdump in the background; its id in SC_CAP.
sc_capture() {
	ip netns exec "$1" tcpdump -i "$2" -U -s 0 -B 8192 -w "$3" >"$3.log" 2>&1 &
	SC_CAP=$!
	wait_for 5 test -s "$3"
}
# sc_signalling_begin [OPTION...] -- NAME...: capture the messages of these devices, at most 8, as an administrator would; needs
# 'capture: {enabled: true, signalling: allow}'.
sc_signalling_begin() {
	local opts=()
	while [ "$1" != -- ]; do opts+=("$1") && shift; done
	shift
	[ -s "$WORK/auditor.pem" ] || openssl req -x509 -newkey rsa:2048 -nodes -keyout "$WORK/auditor.key" -out "$WORK/auditor.pem" -subj /CN=Auditor \
		-days 2 2>/dev/null || return 1
	for n in "$@"; do ctl capture signalling "$n" "$WORK/auditor.pem" --max-mb 64 "${opts[@]}" >/dev/null || return 1; done
}
# sc_signalling_stop: all of them; what they hold, decrypted, is $WORK/signalling.pcapng: parts of all captures there ever were.
sc_signalling_stop() {
	local id f
	for id in $(ctl -j show captures | jq '.[] | select(.state == "running" and .leg == null) | .id'); do
		ctl capture stop "$id" >/dev/null || return 1
	done
	: >"$WORK/signalling.pcapng"
	for f in $(ls -v "$WORK"/state/captures/sccp-*.p7m); do
		openssl cms -decrypt -inform DER -in "$f" -inkey "$WORK/auditor.key" >>"$WORK/signalling.pcapng" || return 1
	done
}
# sc_signalling_check TEXT LEAST: tshark takes every message for SCCP, at least so many, and none for malformed.
sc_signalling_check() {
	local dir=$WORK/signalling.pcapng n all bad
	all=$(tshark -r "$dir" -Y 'tcp.len > 0' -T fields -e frame.number 2>/dev/null | wc -l)
	n=$(tshark -r "$dir" -Y skinny -T fields -e frame.number 2>/dev/null | wc -l)
	bad=$(tshark -r "$dir" -Y '_ws.malformed or _ws.expert.severity == error' -T fields -e frame.number 2>>"$WORK/checks.log" | wc -l)
	check "$1: $n messages, as captured, $bad malformed" test "$bad" = 0 -a "$n" = "$all" -a "$n" -ge "$2"
}
# phone_signal N SIGNAL, gateway_signal N SIGNAL: to the simulator itself, not to timeout(1) around it; known by its
# report, for other runs have phones of the same name.
phone_signal() { kill -"$2" $(pgrep -f "^[^ ]*ravelin-phonesim .*--report $WORK/p$1.json ") </dev/null; }
gateway_signal() { kill -"$2" $(pgrep -f "^[^ ]*ravelin-gwsim .*--report $WORK/g$1.json ") </dev/null; }
