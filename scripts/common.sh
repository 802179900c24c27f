# Sourced by the scripts beside it: steps with their time, an interpreter that fits, environments, Debian packages.
# Exit codes are the tuner's: 2 for a wrong argument, 3 where the machine lacks something.

say() { printf '%s\n' "$*"; }

fail() {
    printf '\n%s: %s\n' "${0##*/}" "$*" >&2
    exit 3
}

# step LABEL COMMAND...: one line with the seconds it took; the command's own output goes to $log, shown if it fails.
step() {
    label="$1"
    shift
    began="$(date +%s)"
    printf '  %s ... ' "$label"
    printf '+ %s\n' "$*" >>"$log"
    before="$(wc -l <"$log")"
    if ! "$@" >>"$log" 2>&1 </dev/null; then
        printf 'failed\n'
        tail -n "+$((before + 1))" "$log" | tail -n 20 >&2
        fail "this step failed: $label. The whole log is in $log"
    fi
    printf '%s s\n' "$(($(date +%s) - began))"
}

# A fresh $log for the steps of one script.
open_log() {
    mkdir -p .cache
    log="$PWD/.cache/$1.log"
    : >"$log"
}

# Print an interpreter that both the tuner and vLLM's CPU build run on. $PYTHON is taken as it is, or refused.
find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    found="$("${PYTHON:-python3}" --version 2>/dev/null || echo none)"
    fail "needs Python 3.11 to 3.14, and ${PYTHON:-python3} is: $found. Name one with PYTHON=/path/to/python3.X"
}

# make_venv PYTHON DIRECTORY: a new virtual environment. Debian keeps pip's part in a package of its own.
make_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null ||
        debian_packages "$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    step "a virtual environment in $2" "$1" -m venv "$2"
}

# clear_venv DIRECTORY: remove an environment, and nothing that is not one.
clear_venv() {
    [ -e "$1" ] || return 0
    [ -f "$1/pyvenv.cfg" ] || rmdir "$1" 2>/dev/null ||
        fail "$1 exists and is no virtual environment: move it away, or name another directory"
    rm -rf "$1"
}

# debian_packages NAME...: install them where we may, else say the one command to run.
debian_packages() {
    command -v apt-get >/dev/null || fail "this machine lacks what Debian calls $*: install it, then run this again"
    if [ "$(id -u)" = 0 ]; then
        become_root=
    elif sudo -n true 2>/dev/null; then
        become_root='sudo -n'
    else
        fail "this machine lacks $*. Run: sudo apt-get install --yes $*   and then this again"
    fi
    step "Debian packages: $*" apt_install "$@"
}

apt_install() {
    set -- $become_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
    "$@" || { $become_root apt-get update && "$@"; }
}

# Let one run at a time work on what $1 (a file that exists) stands for; the lock ends with the process.
one_at_a_time() {
    exec 9<"$1"
    flock --nonblock 9 || {
        say "another ${0##*/} is at work here: waiting for it"
        flock 9
    }
}
