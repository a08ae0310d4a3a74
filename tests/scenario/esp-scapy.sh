#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# ESP against scapy's SecurityAssociation, both ways: tests/scenario/esp_scapy.py has the cases.
# RAVELIN_BUILD: build directory with tests/xval/espcli (default: build/ of this repository). Exit 0 or 1.
# May run beside another.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${RAVELIN_BUILD:-$here/../../build}
cli=$build/tests/xval/espcli
[ -x "$cli" ] || {
	echo "error: $cli is not there: build first, or set RAVELIN_BUILD" >&2
	exit 1
}
# Debian's scapy belongs to Debian's python.
/usr/bin/python3 "$here/esp_scapy.py" "$cli" || exit 1
