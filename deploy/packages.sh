# SPDX-License-Identifier: Apache-2.0
# Debian packages that Consilium needs, and how to install what is missing. Sourced, not run.

packages_build="gcc meson ninja-build pkg-config libc6-dev libpaho-mqtt-dev libmbedtls-dev libopenblas-dev
 libprotobuf-c-dev protobuf-c-compiler libsodium-dev libsqlite3-dev libcyaml-dev libyaml-dev libjansson-dev
 libseccomp-dev libssl-dev libzstd-dev libcmocka-dev mosquitto procps"
packages_test="openssl"
packages_ci="clang clang-format libclang-rt-14-dev git ca-certificates"

# need_packages WHY NAME ...: installs those that are missing, or says how and fails.
need_packages() {
    why=$1
    shift
    missing=
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok installed' ||
            missing="$missing $name"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "These Debian packages are missing $why:$missing" >&2
        echo "This machine has no apt-get; install their equivalents and run this again." >&2
        return 1
    fi
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root=sudo
    else
        echo "These Debian packages are missing $why:$missing" >&2
        echo "This account may not install them. Ask somebody who may to run:" >&2
        echo "  apt-get update && apt-get install -y --no-install-recommends$missing" >&2
        return 1
    fi
    echo "Installing with apt-get, $why:$missing"
    packages_log=$(mktemp)
    # shellcheck disable=SC2086
    if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $missing; } >"$packages_log" 2>&1; then
        tail -n 20 "$packages_log" >&2
        rm -f "$packages_log"
        echo "apt-get could not install them; the lines above say why." >&2
        return 1
    fi
    rm -f "$packages_log"
}
