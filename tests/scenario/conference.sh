#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Conferences through a whole appliance: six phones in Python with a tone each (conf_phones.py), over SRTP and one in clear, and two bridges
# (ravelin-gwsim) that mix, one behind ESP and one in clear. Everybody hears the sum of the others and not itself; what each phone is
# shown of the status; a kill in the middle; the last two; barge and cBarge; records; nothing malformed, nothing left.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# May run beside another.
# Rows: 001:P1-116, P1-117, P1-119, P1-125, P1-127; 004a:CALL-06, CALL-08.
set -u
SC_NAME=conf
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

ns_up || die "network namespaces could not be made"
sc_phones $(seq 1 6)
for n in 1 2; do ip -n "$NS_GW" addr add "$(sc_gw_ip $n)/24" dev gw0; done
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d' "$WORK/ravelin.yaml"
printf 'conference:\n  meetme: [{numbers: 8500-8509}]\n' >>"$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"

step "phones and bridges"
for n in 1 2 3; do sc_device $n encrypted || die "device $n"; done
sc_device 4 nonsecure || die "device 4"
for n in 5 6; do
	ctl device add "$(sc_phone_name $n)" --mode encrypted --line 2000 --shared --region phones >/dev/null &&
		ctl cert issue "$(sc_phone_name $n)" --out "$WORK" >/dev/null || die "device $n"
done
# bridge N PORTS [options]: its record, and the simulator.
bridge() {
	local n=$1 ports=$2
	shift 2
	ctl gateway add "gw$n.example" --address "$(sc_gw_ip "$n")" --region gateways --endpoint 'cnf/$' --conference --ports "$ports" \
		--conference-max 6 "$@" >/dev/null || return 1
	SA_OPTS=()
	[ $# != 0 ] || sc_sas "$n" aes-gcm-128 transport || return 1
	SC_GW_S=900 gateway "$n" "${SA_OPTS[@]}" --endpoint cnf/1 --endpoint cnf/2 &
	wait_for 20 gateway_up "$n"
}
check "a bridge behind ESP" bridge 1 12
sc_capture "$NS_GW" gw0 "$WORK/gw0.pcap" || die tcpdump
CAP=$SC_CAP

coproc PHONES { in_phone timeout 900 /usr/bin/python3 -W ignore "$RAVELIN_TOP/tests/scenario/conf_phones.py" --host 10.77.1.1 --certs "$WORK" \
	--ca "$WORK/ca.pem" --phones 1 2 3 4 5 6 --clear 4 2>"$WORK/phones.log"; }
exec 7>&"${PHONES[1]}" 8<&"${PHONES[0]}"
# ph WORDS: the phones do that; their answer is $WORK/ph.json.
ph() {
	local line
	printf '%s\n' "$*" >&7 && read -r -t 150 line <&8 || return 1
	printf '%s\n' "$line" >"$WORK/ph.json"
	[ "$(jq 'has("error")' <<<"$line")" = false ] || { printf '%s: %s\n' "$*" "$line" >&2; return 1; }
}
# heard_all N... -- FILTER...: these phones listen; what they hear is $WORK/hear.json, and of that all filters are true.
heard_all() {
	local phones=() f
	while [ "$1" != -- ]; do phones+=("$1") && shift; done
	shift
	ph hear 0.6 "${phones[@]}" && cp "$WORK/ph.json" "$WORK/hear.json" || return 1
	for f in "$@"; do [ "$(jq -c "$f" "$WORK/hear.json")" = true ] || return 1; done
}
# hear TEXT STATUS "N:OTHERS"...: phone N hears exactly these others, each as loud as it is sent, and is shown that status.
hear() {
	local text=$1 status=$2 n others
	shift 2
	local filters=()
	for n in "$@"; do
		others=$(jq -cn --arg o "${n#*:}" '$o | split(",")')
		filters+=(".\"${n%%:*}\" | (.security == $status) and .bad == 0 and
			(.keys == .distinct) and (.hears | to_entries | all(.[]; .key as \$k | .value as \$v |
			if ($others | index(\$k)) != null then \$v > 4800 and \$v < 7200 else \$v < 300 end))")
	done
	# a tone that a busy machine cut is not so loud: they listen until what they hear is whole
	wait_for 15 heard_all "${@%%:*}" -- "${filters[@]}"
	for n in "$@"; do
		check_json "$text: ${n%%:*} hears ${n#*:} and nobody else, shown $status" "$WORK/hear.json" "${filters[0]}"
		filters=("${filters[@]:1}")
	done
}
check "six phones register" ph up

step "ad hoc"
check "1 calls 2" ph call 1 2 1002
check "asks 3" ph key 1 confrn connected
check "who is called" ph state 1 offhook
check "and answers" ph call 1 3 1003
check "Confrn" ph key 1 confrn connected
soon_ctl "a conference of three, with a lock, by 1" 8 "show conferences" '.conferences | length == 1 and (.[0] | .kind == "adhoc" and .security == "encrypted" and
	.bridge == "gw1.example" and (.endpoint | test("^cnf/[12]$")) and .controller == "SEP0000000A0001" and
	([.members[] | [.number, .state, .security]] | sort) == [["1001", "connected", "encrypted"], ["1002", "connected", "encrypted"], ["1003", "connected", "encrypted"]])'
check_ctl "nine ports are free" "show conferences" '.bridges == [{name: "gw1.example", state: "up", conferences: 1, ports: 12, used: 3, free: 9, conference_max: 6}]'
check "people can read it" eval 'ctl show conferences | grep -q "adhoc.*gw1.example.*encrypted.*1002/device=SEP0000000A0002"'
check "all have the lock" ph lock 3 1 2 3
hear "ad hoc" 3 1:2,3 2:1,3 3:1,2
check_json "ad hoc: every stream is SRTP" "$WORK/hear.json" 'all(.[]; .srtp and .streams == 1)'

step "controlplane killed"
kill -9 "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)" 2>/dev/null
check "killed: media goes on, they hear each other" wait_for 15 heard_all 1 2 3 -- '(."1".hears["2"] > 4800) and (."3".hears["1"] > 4800) and (."2".hears["3"] > 4800)'
daemon controlplane
wait_for 20 dataplane_up || bad "killed: it comes back"
check "killed: the phones come back" ph up
soon_ctl "killed: the conference is whole" 15 "show conferences" '.conferences | length == 1 and (.[0] | .kind == "adhoc" and .security == "encrypted" and
	.controller == "SEP0000000A0001" and (.members | length) == 3 and all(.members[]; .state == "connected"))'
check "killed: with its lock" ph lock 3 1 2 3
hear "killed" 3 1:2,3 2:1,3 3:1,2

step "the last two"
check "3 leaves" ph key 3 end connected
soon_ctl "there is no conference" 8 "show conferences" '.conferences == [] and .bridges[0].free == 12'
check "two talk" ph talk 1 2
check_ctl "in a call of their own" "show calls" 'length == 1 and (.[0] | .state == "connected" and .security == "encrypted" and ([.from, .to] | sort) == ["1001", "1002"])'
hear "the last two" 3 1:2 2:1
check "it ends" ph key 1 end connected
check "for both" ph state 2 idle

step "meet-me"
check "1 starts it" ph key 1 meetme none
check "by its number" ph state 1 offhook
check "which it dials" ph dial 1 8500
check "and is alone" ph talk 1
check "2 dials it" ph dial 2 8500
check "3, too" ph dial 3 8500
check "all are in it" ph talk 1 2 3
check "with the lock" ph lock 3 1 2 3
hear "meet-me" 3 1:2,3 2:1,3 3:1,2
check "4, in clear, dials it" ph dial 4 8500
check "and is in it" ph talk 4
check "nobody has a lock any more" ph lock 1 1 2 3 4
hear "one in clear" 1 1:2,3,4 2:1,3,4 3:1,2,4 4:1,2,3
check_json "one in clear: the others' streams are still SRTP" "$WORK/hear.json" '(."1".srtp and ."2".srtp and ."3".srtp) and (."4".srtp | not)'
check_ctl "show conferences says whose fault it is" "show conferences" '.conferences[0] | .kind == "meetme" and .number == "8500" and .security == "not-secure" and
	([.members[] | select(.security != "encrypted") | .number] == ["1004"])'
check "4 leaves" ph key 4 end connected
check "the lock is back" ph lock 3 1 2 3
hear "without it" 3 1:2,3 2:1,3 3:1,2
for n in 1 2 3; do check "$n leaves" ph key $n end connected; done
soon_ctl "it is over" 8 "show conferences" '.conferences == [] and .bridges[0].used == 0'

step "barge"
check "1 calls 2000, 5 answers" ph call 1 5 2000
check "6 sees it" ph state 6 remote
check "and barges in" ph key 6 barge remote
check "by the built-in bridge of 5" ph talk 6
check "all have the lock" ph lock 3 1 5 6
hear "barge" 3 1:5 5:1,6 6:5
check_json "barge: 5 has two streams" "$WORK/hear.json" '."5".streams == 2 and all(.[]; .srtp)'
check "6 leaves" ph key 6 end connected
check "the others go on" ph talk 1 5

step "cBarge"
check "a bridge in clear, with more ports" bridge 2 24 --clear --keys-without-ipsec
check "6 sees the call" ph state 6 remote
check "and presses cBarge" ph key 6 cbarge remote
soon_ctl "a conference that is not secure" 8 "show conferences" '.conferences | length == 1 and (.[0] | .kind == "cbarge" and .cbarged and .controller == "" and
	.security == "not-secure" and .bridge == "gw2.example" and ([.members[].number] | sort) == ["1001", "2000", "2000"] and all(.members[]; .state == "connected"))'
check "nobody has a lock" ph lock 1 1 5 6
hear "cBarge" 1 1:5,6 5:1,6 6:1,5
check_json "cBarge: every stream is SRTP" "$WORK/hear.json" 'all(.[]; .srtp and .streams == 1)'
check "6 leaves" ph key 6 end connected
soon_ctl "there is no conference" 8 "show conferences" '.conferences == []'
check "two talk" ph talk 1 5
check "with their lock" ph lock 3 1 5
hear "after cBarge" 3 1:5 5:1
# one bridge is taken away, and of the other's three ports one is taken
check "the bridge goes" ctl gateway del gw2.example
check "the other one has three ports" ctl gateway add gw1.example --address "$(sc_gw_ip 1)" --region gateways --endpoint 'cnf/$' --conference --ports 3 \
	--conference-max 3 --replace
wait_for 20 gateway_up 1 || bad "it is up"
check "2 has one of them" eval 'ph key 2 meetme none && ph state 2 offhook && ph dial 2 8501 && ph talk 2'
check "6 presses cBarge" ph key 6 cbarge remote
check "and hears why not" ph state 6 congestion
check "the call stays as it was" wait_for 15 heard_all 1 5 6 -- '(."1".security == 3) and (."1".hears["5"] > 4800) and (."5".hears["1"] > 4800) and (."6".prompt == "No conference bridge") and (."6".tone == 37)'
check "2 leaves" ph key 2 end connected
check "6 hangs up" ph key 6 end congestion
check "1, too" ph key 1 end connected
check "5 is let go" ph state 5 idle

step "records"
soon_ctl "no call is left" 5 "show calls" 'length == 0'
exported() { # a record is written behind its call
	rm -f "$WORK/cdr.json"
	ctl cdr export --json --output "$WORK/cdr.json" && jq -s . "$WORK/cdr.json" >"$WORK/cdr.all" &&
		jq -e '[.[] | select(.origin == "barge" and .cause == 16)] | length == 2' "$WORK/cdr.all"
}
check "they are exported" wait_for 10 exported
cdr() { check_json "$1" "$WORK/cdr.all" "$2"; }
cdr "three who were in the ad hoc conference, after the kill" '[.[] | select(.origin == "conference" and .adopted and .b_device == "gw1.example")] |
	length == 3 and all(.[]; .security_worst == "encrypted" and .redirecting == "1001")'
cdr "and the call of the last two" '[.[] | select(.origin == "conference" and .adopted and ([.a_number, .b_number] | sort) == ["1001", "1002"] and .cause == 16)] |
	length == 1 and .[0].security_worst == "encrypted"'
cdr "two who became members by cBarge, not secure" '[.[] | select(.origin == "conference" and .b_device == "gw2.example")] |
	length == 2 and all(.[]; .security_worst == "not-secure" and .redirecting == "2000")'
cdr "who barged in, over the one bridge and the other" '[.[] | select(.origin == "barge" and .a_device == "SEP0000000A0006" and .cause == 16) | .b_device] |
	sort == ["SEP0000000A0005", "gw2.example"]'
cdr "four who dialled the meet-me number" '[.[] | select(.dialled == "8500")] | length == 4 and all(.[]; .security_worst == "not-secure")'
cdr "what was split went on as something else" '. as $all | [.[] | select(.cause == 126)] | length >= 6 and
	all(.[]; . as $r | any($all[]; . != $r and .global_id == ($r.joined_id // $r.global_id)))'

ph keys && jq -r '.keys[]' "$WORK/ph.json" | sort -u >"$WORK/phones.hex"
check "no key came twice: $(wc -l <"$WORK/phones.hex")" test "$(wc -l <"$WORK/phones.hex")" = "$(jq '.keys | length' "$WORK/ph.json")"
exec 7>&- 8<&-
kill $CAP
wait $CAP 2>/dev/null
for n in 1 2; do gateway_signal $n TERM; done
wait_for 5 test -s "$WORK/g1.json" -a -s "$WORK/g2.json" || bad "the bridges report"

step "the bridges"
G='.gateway[0]'
check_json "1: all MGCP inside ESP, none of it bad" "$WORK/g1.json" "$G | .bad_messages == 0 and .wire.clear_received == 0 and .wire.sa_in[0].packets > 20 and .verbs.CRCX == .verbs.DLCX"
check_json "1: connections mixed, up to three speakers for one, in SRTP and one in RTP" "$WORK/g1.json" "[$G.connections[] | select(.mode == \"confrnce\")] |
	length == 8 and (map(.mix.most) | max) == 3 and ([.[] | select(.secure | not)] | length) == 1 and all(.[]; .media.received.auth_failed == 0)"
check_json "2: three, in SRTP, keys in the open" "$WORK/g2.json" "$G | .bad_messages == 0 and ([.connections[] | select(.mode == \"confrnce\" and .secure)] | length) == 3"
mgcp() { tshark -r "$WORK/gw0.pcap" -Y "ip.addr == $(sc_gw_ip 2) && mgcp${1:+ && ($1)}" -T fields -e frame.number 2>/dev/null | wc -l; }
check "tshark: $(mgcp) messages of MGCP with the one in clear, $(mgcp '_ws.malformed or _ws.expert.severity == error') malformed" \
	eval '[ "$(mgcp)" -ge 20 ] && [ "$(mgcp "_ws.malformed or _ws.expert.severity == error")" = 0 ]'
check "a mode of conferences is in them" test "$(tshark -r "$WORK/gw0.pcap" -Y 'mgcp.param.connectionmode == "confrnce"' 2>/dev/null | wc -l)" -ge 3

step "what is left"
check_ctl "no leg is left" "show legs" 'length == 0'
appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
check "every mbuf returned" grep -q 'event=stopped.*mbufs_leaked=0' "$WORK/dataplane.log"
sc_end
