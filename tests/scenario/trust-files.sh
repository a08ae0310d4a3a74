#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# `ravelinctl file` over lists and files that other programs made, over damaged ones, and over what it makes itself, which
# openssl(1) verifies and decrypts. No appliance, no root. Exit 0 or 1.
# RAVELIN_BUILD: build directory (default: build/ of this repository).
# May run beside another.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "${RAVELIN_BUILD:-$here/../../build}" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-trust-files.XXXXXX")
trap 'rm -rf "$work"' EXIT
/usr/bin/python3 "$here/trust_files.py" "$build/controlplane/ctl/ravelinctl" "$here/../vectors/trust" "$work"
