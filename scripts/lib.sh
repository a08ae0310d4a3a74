# SPDX-License-Identifier: BSD-3-Clause
# Shared by quickstart, check and the scenarios: sourced, never run.

RAVELIN_TOP=${RAVELIN_TOP:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

need_root() { [ "$(id -u)" = 0 ] || die "run this as root: it installs packages and makes network namespaces"; }

# build_tree DIR [meson options...]: configure once, reconfigure when the options changed, build; BUILD_TARGETS: only these.
build_tree() {
	local dir=$1
	shift
	if [ ! -f "$dir/build.ninja" ]; then
		meson setup "$dir" "$RAVELIN_TOP" "$@" >"$dir.log" 2>&1 || {
			cat "$dir.log" >&2
			return 1
		}
	elif [ "$*" != "$(cat "$dir/.ravelin-options" 2>/dev/null)" ]; then
		meson setup --reconfigure "$dir" "$RAVELIN_TOP" "$@" >"$dir.log" 2>&1 || {
			cat "$dir.log" >&2
			return 1
		}
	fi
	printf '%s' "$*" >"$dir/.ravelin-options"
	ninja -C "$dir" ${BUILD_TARGETS:-} >"$dir.log" 2>&1 || {
		grep -E -A12 'FAILED|error:' "$dir.log" | head -80 >&2
		return 1
	}
}
