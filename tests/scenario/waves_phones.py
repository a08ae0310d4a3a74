#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Phones of a wave: each that is told to reset (a line of phonesim's events) comes to CAPF with what is in its flash, and again a moment
later if it was not answered. What each session came to is a line of OUT. Ends when QUIT is there.

usage: waves_phones.py CAPFSIM SERVER CA FLASH EVENTS BROKEN OUT QUIT
BROKEN: a file with the names of phones whose flash takes nothing, read anew for each session."""
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

CAPFSIM, SERVER, CA, FLASH, EVENTS, BROKEN, OUT, QUIT = sys.argv[1:]
LOCK = threading.Lock()


def say(line):
    with LOCK, open(OUT, "a", encoding="ascii") as out:
        out.write(json.dumps(line) + "\n")


def session(name):
    for attempt in range(40):
        args = [CAPFSIM, "--server", SERVER, "--ca", CA, "--name", name, "--flash", FLASH]
        if os.path.exists(f"{FLASH}/{name}.lsc.pem"):
            args += ["--show", "lsc"]
        with open(BROKEN, encoding="ascii") as broken:
            if name in broken.read().split():
                args += ["--fail-store"]
        try:
            done = subprocess.run(args, capture_output=True, timeout=200, check=False)
            got = json.loads(done.stdout)
        except (ValueError, subprocess.TimeoutExpired) as why:
            got = {"name": name, "reason": -1, "error": str(why)}
        got["attempt"] = attempt
        say(got)
        if got["reason"] != -1 or os.path.exists(QUIT):
            return
        time.sleep(0.3)


def main():
    at = 0
    with ThreadPoolExecutor(max_workers=4) as pool:
        while not os.path.exists(QUIT):
            try:
                with open(EVENTS, encoding="ascii") as events:
                    events.seek(at)
                    while True:
                        line = events.readline()
                        if not line.endswith("\n"):
                            break
                        at = events.tell()
                        event = json.loads(line)
                        if event["event"] == "reset":
                            pool.submit(session, event["who"])
            except FileNotFoundError:
                pass
            time.sleep(0.05)


main()
