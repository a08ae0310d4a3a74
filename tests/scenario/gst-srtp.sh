#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# GStreamer's srtpenc and srtpdec as parties nobody here wrote, on both sides of ravelin-dataplane: AES-CM of 128 and 256
# bits, GCM, several keys by MKI changed in mid-stream on both sides, a receiver that joins with a ROC
# (RFC 3711, 6188, 7714). Audio must arrive byte for byte. As root; RAVELIN_BUILD: build directory. Exit 0 or 1.
# May run beside another.
set -u
DP_NAME=gst
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../scripts/lib.sh"
need_root
BUILD=$(realpath "${RAVELIN_BUILD:-$here/../../build}")
. "$here/../../scripts/dataplane.sh"

dp_up
/usr/bin/python3 "$here/gst_srtp.py" "$WORK/run/dataplane.sock" "${NS}a" "${NS}b" "$WORK"
RC=$?
dp_end
