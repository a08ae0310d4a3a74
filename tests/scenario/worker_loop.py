#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# worker_loop.py ELF: what the worker's loop can reach. The call graph of the linked dataplane, by addresses, from
# dp_worker_round() and the callbacks of the stages under it on; what it calls in libraries must be on the list below, so
# that an allocation, a lock, a log line or a system call in the loop is found when it is written, not when it runs.
import bisect
import re
import subprocess
import sys

# Callbacks that are reached through tables: the MGCP stage's, and its transactions'.
ROOTS = ("dp_worker_round", "dp_deliver_transmit", "dp_deliver_end", "dp_deliver_respond", "op_send", "op_sa_live", "op_done", "op_event")
# Through these functions a worker leaves its loop, or the main lcore makes and takes down what the loop uses.
NOT_LOOP = r"dp_worker_main|main"

# Library functions: a pattern, and why it may be called in the loop.
ALLOWED = (
    (r"mem(cpy|set|move|cmp|chr)(_chk)?|__mem(cpy|set|move)_chk|explicit_bzero|__explicit_bzero_chk|bcmp", "memory only"),
    (r"str(len|nlen|cmp|ncmp|casecmp|ncasecmp|chr|str|spn|cspn)", "memory only"),
    (r"__stack_chk_fail|abort|__assert_fail|__longjmp_chk", "ends the process"),
    (r"__(asan|ubsan|sanitizer)_.*|__interceptor.*", "the sanitizer's, in its build"),
    (r"CRYPTO_memcmp", "memory only"),
    (r"rte_mempool_ops_table|rte_eth_fp_ops|per_lcore__?lcore_id|rte_mbuf_.*dynf.*", "data"),
    (r"__rte_panic|rte_mbuf_sanity_check", "never, unless memory was overwritten"),
    (r"rte_ip_frag_table_.*|rte_ipv[46]_frag.*|rte_ipv4_frag_reassemble_packet", "a table of its own, made at the start"),
    (r"rte_ip_frag_free_death_row|rte_frag_.*", "gives buffers back"),
    (r"rte_pktmbuf_(free_bulk|chain|copy|linearize|prefree.*)|__rte_pktmbuf_.*|rte_pktmbuf_free", "buffers of the pool"),
    (r"inet_(ntop|pton)", "text to numbers and back; addresses of SDP"),
    (r"rte_rand(_max)?", "arithmetic on the lcore's own state"),
    (r"rte_meter_.*|rte_thash_.*|rte_jhash.*", "arithmetic"),
    (r"rte_eth_call_(rx|tx)_callbacks|rte_eth_trace_call_.*|__rte_trace_.*|rte_eth_.*_burst", "the driver's"),
    (r"(imb|init_mb_mgr|submit|flush|get|aes|hmac|sha|IMB|des)_.*", "arithmetic of ipsec-mb"),
)

FUNC = re.compile(r"^([0-9a-f]+) <([^>]+)>:$")
CALL = re.compile(r"\t(call|jmp|j[a-z]+)\s+(?:\*?0x[0-9a-f]+\(%rip\)\s+# )?\*?([0-9a-f]+) <([^>+]+)(\+0x[0-9a-f]+)?>")
REF = re.compile(r"# ([0-9a-f]+) <([^>]+)>$")
SLOT = re.compile(r"^([0-9a-f]+)\s+[0-9a-f]+ R_X86_64_RELATIVE\s+([0-9a-f]+)$", re.M)


def text_end(path):
    heads = subprocess.run(["objdump", "-h", path], capture_output=True, text=True, check=True).stdout
    m = re.search(r" \.text +([0-9a-f]+) +([0-9a-f]+)", heads)
    return int(m[2], 16) + int(m[1], 16) - 1


def main():
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", sys.argv[1]], capture_output=True, text=True, check=True).stdout
    relocs = subprocess.run(["readelf", "-rW", sys.argv[1]], capture_output=True, text=True, check=True).stdout
    slot = {int(a, 16): int(b, 16) for a, b in SLOT.findall(relocs)}  # pointers in data, the GOT among them
    name, edges, here = {}, {}, None
    for line in text.splitlines():
        m = FUNC.match(line)
        if m:
            here = int(m[1], 16)
            name[here] = m[2]
            edges[here] = set()
            continue
        if here is None:
            continue
        m = CALL.search(line)
        if m:
            edges[here].add((int(m[2], 16), m[3]))
            continue
        m = REF.search(line)
        if m:  # the address of a function, or of where it is kept
            to = int(m[1], 16)
            edges[here].add((slot[to], "") if to in slot else (to, m[2]))
    roots = [a for a, n in name.items() if n.split(".")[0] in ROOTS]
    starts, last = sorted(edges), text_end(sys.argv[1])
    seen, why, bad, outside = set(), {}, [], set()
    todo = [(a, None) for a in roots]
    for want in ROOTS:
        if want not in (name[a].split(".")[0] for a in roots):
            sys.exit("%s is not there: is this ravelin-dataplane, with its symbols?" % want)
    while todo:
        at, by = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        why[at] = by
        for to, what in edges[at]:
            if what.endswith("@plt") or "@" in what:
                lib = what.split("@")[0]
                outside.add(lib)
                if not any(re.fullmatch(p, lib) for p, _ in ALLOWED):
                    chain, k = [], at
                    while k is not None:
                        chain.append(name[k])
                        k = why[k]
                    bad.append("%s, called by %s" % (lib, " < ".join(chain)))
                continue
            # A jump from a function's cold part goes into the middle of the other.
            to = starts[max(bisect.bisect_right(starts, to) - 1, 0)] if to <= last else None
            if to is not None and not re.fullmatch(NOT_LOOP, name[to]):
                todo.append((to, at))
    for b in sorted(set(bad)):
        print("in the loop: " + b)
    print("%d functions, %d of libraries: %s" % (len(seen), len(outside), " ".join(sorted(outside))))
    # A graph that has lost its way would find nothing.
    for want in ("dp_media_burst", "dp_srtp_protect_burst", "dp_srtcp_unprotect_burst", "dp_leg_apply", "dp_local_esp", "dp_move_end", "dp_music_round", "dp_tune_copy"):
        if not any(n.split(".")[0].startswith(want) for a, n in name.items() if a in seen):
            sys.exit("%s is not reached: this check is blind" % want)
    return 1 if bad else 0


sys.exit(main())
