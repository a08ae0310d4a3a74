#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# ravelin-bench: each bench with its shortest settings says valid JSON with the keys of the architecture page, every suite is
# compared with its peers, a spoiled packet is found, a baseline is read; plan answers; tables are made. No rate is judged.
# RAVELIN_BUILD: build directory. As root (EAL).
# May run beside another; takes long.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "${RAVELIN_BUILD:-$here/../../build}" && pwd) || exit 1
bench=$build/bench/ravelin-bench
[ -x "$bench" ] || {
	echo "error: $bench is not there" >&2
	exit 1
}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$here/lsan.supp:print_suppressions=0}
dir=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-bench.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
export RAVELIN_BENCH_DIR=$dir
failed=0
ok() { printf 'ok    %s\n' "$1"; }
bad() {
	printf 'FAIL  %s\n' "$1"
	failed=1
}
run() { timeout -k 5 600 "$bench" "$@" 2>"$dir/stderr"; }

# rows NAME KEYS UNIT [options]: runs it; every row has the keys, the case has its own, numbers are numbers.
rows() {
	local name=$1 keys=$2 unit=$3 out=$dir/$1.json
	shift 3
	if ! run "$name" -j --quick --runs 1 "$@" >"$out"; then
		bad "$name runs ($(tail -2 "$dir/stderr" | tr '\n' ' '))"
		return
	fi
	if jq -es --arg name "$name" --argjson keys "$keys" --arg unit "$unit" '
		(.[0].env | has("cpu") and has("cores") and has("isa") and has("kernel") and has("hugepages") and has("build") and
			has("versions") and .tsc_hz > 0) and
		(.[1:] | length > 0) and
		([.[1:][] | select(has("note") | not)] | length > 0 and all(.[];
			.bench == $name and (.case | keys_unsorted as $k | $keys - $k == []) and .unit == $unit and
			(.value | type == "number" and . > 0) and .runs >= 1 and (.spread | type == "number") and
			(if has("peer") then .peer_value > 0 and .ratio > 0 else true end)))' "$out" >/dev/null 2>"$dir/jq"; then
		ok "$name: $(grep -c '"value"' "$out") rows"
	else
		bad "$name: keys ($(cat "$dir/jq"; head -c 300 "$out" | tail -1))"
	fi
}
spoiled() {
	local name=$1
	shift
	if run "$name" -j --quick --runs 1 --spoil "$@" >/dev/null; then
		bad "$name finds a spoiled packet"
	else
		# It must have been the comparison that failed.
		grep -q -E 'results differ|a wrong one|the signature is wrong|not what it should be' "$dir/stderr" && ok "$name finds a spoiled packet" ||
			bad "$name failed for another reason: $(tail -1 "$dir/stderr")"
	fi
}
truth() { # TEXT FILE FILTER
	[ "$(jq -s "$3" "$2" 2>&1 | tail -1)" = true ] && ok "$1" || bad "$1"
}

rows srtp '["suite","op","payload","streams"]' packet/s/core --only payload=160,streams=1000
truth "srtp: every suite, both ways, with over_raw" "$dir/srtp.json" \
	'[.[] | select(.peer == "ipsec-mb" and (.case | has("burst") | not) and has("over_raw")) | .case.suite + .case.op] | unique | length == 20'
truth "srtp: bursts" "$dir/srtp.json" '[.[] | .case.burst // 32] | unique - [1, 2, 4, 8, 16, 32, 64] == []'
rows esp '["suite","op","size","sas","feeder"]' packet/s/core --only size=1400,feeder=own
truth "esp: a whole worker" "$dir/esp.json" '.[1:] | length == 1 and all(.[]; .gbit_s > 0)'
cp "$dir/esp.json" "$dir/espworker.json"
rows esp '["suite","op","size","sas"]' packet/s/core --only size=256,sas=1
truth "esp: beside DPDK's" "$dir/esp.json" '[.[1:][] | select(.peer) | .peer] | unique == ["ipsec-mb", "librte_ipsec", "librte_ipsec-cpu", "openssl"]'
rows mgcp '["op","esp","gateways"]' command/s/core --only gateways=4000
truth "mgcp: a worker beside the kernel's sockets, and end to end" "$dir/mgcp.json" \
	'([.[1:][].peer] == ["kernel-agent", "kernel-agent-openssl", null]) and .[1].stage_cycles.answer > 0 and .[3].stage_cycles.main > 0'
cp "$dir/mgcp.json" "$dir/mgcpworker.json"
rows media '["from","to","payload","legs"]' packet/s/core --only legs=10000,payload=160
truth "media: stages, IPv6 and between the two" "$dir/media.json" \
	'(.[1:] | all(.[]; (.stage_cycles | has("lookup") and has("protect")) and .leg_bytes > 0)) and
	 ([.[1:][].case | .ip // "4"] | unique == ["4", "4-6", "6", "6-4"])'
rows overload '["from","to","payload","legs","offered"]' packet/s/core --only to=AES_CM_128_HMAC_SHA1_80
truth "overload: all is accounted for" "$dir/overload.json" \
	'.[1:] | all(.[]; .accounted and .offered >= .rx_missed + ([.drops[]] | add // 0) and (.share | type == "number"))'
rows latency '["from","to","payload","legs","load"]' "us p99" --only from=RTP,to=AES_CM_128_HMAC_SHA1_80
truth "latency: quantiles in order" "$dir/latency.json" \
	'.[1:] | all(.[]; .p50_us > 0 and .p50_us <= .p99_us and .p99_us <= .p999_us and .p999_us <= .max_us)'
rows scaling '["from","to","payload","legs","workers"]' packet/s/core --only from=RTP
truth "scaling: from one worker to one on each core" "$dir/scaling.json" \
	'(.[1:] | map(.case.workers)) as $w | $w[0] == 1 and ($w | max) == ([.[0].env.cores, 32] | min)'
rows mgcp '["op","esp","gateways"]' command/s/core --only gateways=1
run farm -j --quick --gateways 8 >"$dir/farm.json" || bad "farm runs ($(tail -2 "$dir/stderr" | tr '\n' ' '))"
truth "farm: whole after everything that was killed" "$dir/farm.json" '[.[1:][].case.what] == ["up", "controlplane killed", "dataplane killed", "gateways lost", "memory", "idle"] and all(.[1:][]; .value > 0)'
rows store '["op","sync","in_flight","batch"]' put/s --only in_flight=64,batch=1,sync=0

rows sign '["key","digest","file"]' file/s/core --only file=sgn
truth "sign: beside bare signatures" "$dir/sign.json" '[.[1:][].peer] | unique == ["openssl"]'
rows sign '["key","digest","file"]' file/s/core --only file=enc.sgn,digest=SHA-512
# (the one figure that is compared with another: again, should the machine have been busy with something else just then)
slower='[.[1:][].peer] == ["openssl", "openssl-encrypt"] and (.[1].peer_value > .[2].peer_value)'
for _ in 1 2 3 4; do
	[ "$(jq -s "$slower" "$dir/sign.json" 2>&1 | tail -1)" != true ] || break
	run sign -j --quick --runs 1 --only file=enc.sgn,digest=SHA-512 >"$dir/sign.json"
done
truth "sign: encrypted files beside signatures with the same encryption" "$dir/sign.json" "$slower"
rows register '["what","key","resumed"]' handshake/s/core --only what=handshake,key=ec-p256
truth "register: full and resumed handshakes beside OpenSSL's" "$dir/register.json" '[.[1:][] | .case.resumed, .peer] == [false, "openssl", true, "openssl"]'
rows register '["what","key","resumed","phones"]' registration/s/core --only what=return --phones 50
truth "register: phones come back" "$dir/register.json" '.[1] | .case.phones == 50 and .p99_s <= .seconds and .bound_s > 0 and .up_s > 0'
rows call '["media"]' call/s/core
truth "call: calls with keys, and how soon it rings" "$dir/call.json" '.[1] | .half_post_dial_p50_ms > 0 and .half_post_dial_p50_ms <= .half_post_dial_p99_ms'
rows tftp '["file_bytes","clients","blksize"]' transfer/s/core --only clients=32,blksize=512
rows http '["file_bytes","clients","keep_alive"]' request/s/core --only clients=32
truth "tftp, http: beside others" "$dir/tftp.json" '[.[1:][].peer] | sort == ["dnsmasq", "tftpd-hpa"]'
rows boot '["via","phones","warm"]' file/s/core --phones 100
truth "boot: every file came" "$dir/boot.json" '.[1:] | all(.[]; .p99_ms >= .p50_ms and .rss_mb > 0)'
truth "boot: before and after signing, beside others on the same files" "$dir/boot.json" \
	'[.[1:][] | .case.via + " " + (.case.warm | tostring) + " " + (.peer // "-")] ==
	 ["tftp false -", "tftp true dnsmasq", "tftp true tftpd-hpa", "http true nginx"] and
	 ([.[1:][] | select(.peer)] | all(.[]; .peer_phones > 0 and .peer_p99_ms >= .peer_p50_ms))'

spoiled srtp --only payload=160,streams=1
spoiled esp --only size=256,sas=1
spoiled esp --only size=1400,feeder=own
spoiled mgcp --only gateways=4000
spoiled media --only from=RTP,to=AES_CM_128_HMAC_SHA1_80,legs=1000,payload=160
spoiled media --only from=RTP,to=RTP,legs=1000,payload=160
spoiled overload --only to=AES_CM_128_HMAC_SHA1_80
spoiled scaling --only workers=1
spoiled sign --only file=sgn
spoiled tftp --only clients=32,blksize=512
spoiled http --only clients=32
spoiled boot --phones 50 --only via=http,warm=1

# A baseline is compared by case and peer.
run srtp -j --quick --runs 1 --only payload=160,streams=1000,op=protect,suite=AEAD_AES_128_GCM \
	--baseline "$dir/srtp.json" >"$dir/again.json"
truth "baseline_ratio" "$dir/again.json" '.[1:] | length >= 3 and all(.[]; .baseline_ratio > 0)'

run plan -j --calls 1000 --codec g729 --suite AES_CM_128_HMAC_SHA1_80 --both-legs-srtp --rtcp >"$dir/plan.json"
truth "plan from rates measured now" "$dir/plan.json" '.[1] | .bench == "plan" and .value >= 1 and .max_legs == 2000 and .memory_mb > 0 and .ports == 1'
run plan -j --calls 50000 --baseline "$dir/media.json" >"$dir/plan.json"
truth "plan from a baseline" "$dir/plan.json" '.[1] | .rates == "of the baseline" and .rx_pps == 5000000 and .media_addresses == 13'
for wrong in "--calls 0" "--calls 10 --codec opus" "--calls 10 --suite F8_128_HMAC_SHA1_80" "--calls 10 --codec g729 --ptime 25"; do
	run plan $wrong >/dev/null
	[ $? = 2 ] && ok "plan refuses $wrong" || bad "plan refuses $wrong"
done

python3 "$here/../../bench/tables.py" "$dir"/{srtp,esp,espworker,media,overload,latency,scaling,mgcp,mgcpworker,farm,store,sign,tftp,http,boot,call,register}.json >"$dir/tables" || bad "tables"
for t in srtp bursts media overload latency scaling esp esp-worker mgcp mgcp-worker farm store sign tftp http boot call storm; do
	sed -n "/<!-- table $t -->/,/<!-- end -->/p" "$dir/tables" | grep -q '^| .*[0-9]' && ok "table $t" || bad "table $t"
	grep -q "<!-- table $t -->" "$here/../../bench/README.md" || bad "README has a place for table $t"
done
exit $failed
