#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""cage.py UNIT [--more CALL,...] -- COMMAND...: run a command under the system call filter of a systemd unit, where no systemd runs.

What systemd makes of SystemCallFilter=, RestrictAddressFamilies=, MemoryDenyWriteExecute= and NoNewPrivileges= is made here by
libseccomp, from the unit itself: its groups are those that systemd-analyze lists. Namespaces and mounts are the caller's."""
import ctypes
import os
import subprocess
import sys

ALLOW, EPERM = 0x7FFF0000, 0x00050000 | 1
NE, MASKED_EQ = 1, 7


class Cmp(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def group(name):
    out = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    names = set()
    for line in out.splitlines():
        word = line.strip().split(" ")[0] if line.startswith("    ") else ""
        if word.startswith("@"):
            names |= group(word)
        elif word and not word.startswith("#"):
            names.add(word)
    return names


def expand(words):
    names = set()
    for w in words:
        names |= group(w) if w.startswith("@") else {w}
    return names


def main():
    unit, rest = sys.argv[1], sys.argv[2:]
    more = rest[1].split(",") if rest[0] == "--more" else []
    command = rest[rest.index("--") + 1:]
    keys = [line.strip().split("=", 1) for line in open(unit) if "=" in line and not line.startswith("#")]
    allowed = set()
    for value in (v for k, v in keys if k == "SystemCallFilter"):
        allowed = allowed - expand(value[1:].split()) if value.startswith("~") else allowed | expand(value.split())
    assert len(allowed) > 150, "the filter was not understood"
    keys = dict(keys)
    assert keys["SystemCallErrorNumber"] == "EPERM" and keys["RestrictAddressFamilies"] == "AF_UNIX"
    assert keys["MemoryDenyWriteExecute"] == "yes" and keys["NoNewPrivileges"] == "yes" and keys["RestrictNamespaces"] == "yes"
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    lib.seccomp_init.argtypes = [ctypes.c_uint32]
    lib.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Cmp)]
    lib.seccomp_load.argtypes = [ctypes.c_void_p]

    def rule(ctx, action, name, *cmps):
        nr = lib.seccomp_syscall_resolve_name(name.encode())
        if nr >= 0:  # else of another architecture
            rc = lib.seccomp_rule_add_array(ctx, action, nr, len(cmps), (Cmp * len(cmps))(*cmps))
            assert rc == 0, (name, rc)

    # One filter for what may be called at all, one for what of it may not: the kernel takes the stricter answer.
    first, second = lib.seccomp_init(EPERM), lib.seccomp_init(ALLOW)
    for name in allowed | set(more):
        rule(first, ALLOW, name)
    rule(second, EPERM, "socket", Cmp(0, NE, 1, 0))
    rule(second, EPERM, "mmap", Cmp(2, MASKED_EQ, 6, 6))  # to write and to execute
    rule(second, EPERM, "mprotect", Cmp(2, MASKED_EQ, 4, 4))
    rule(second, EPERM, "pkey_mprotect", Cmp(2, MASKED_EQ, 4, 4))
    rule(second, EPERM, "shmat", Cmp(2, MASKED_EQ, 0o100000, 0o100000))
    for name in ("unshare", "setns"):
        rule(second, EPERM, name)
    for ctx in (second, first):  # the last one may forbid to load any more
        assert lib.seccomp_load(ctx) == 0
    os.execvp(command[0], command)


main()
