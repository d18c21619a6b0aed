#!/bin/sh
# Installs Tidegate, one file that needs no Python, no compiler and, with --from, no network.
#
#   curl -fsSL "$TIDEGATE_BASE_URL/install.sh" | sh             as root into /usr/local and as a service, else into ~/.local
#   sh install.sh --from DIR                                    from a folder with tidegate-linux-ARCH and SHA256SUMS
#   sh install.sh --uninstall                                   takes away what it installed; --purge: configuration and state too
#
# Nothing runs before the last line, so a script that was cut off on its way does nothing.
set -eu

usage() {
    cat <<'USAGE'
install.sh [OPTION]...
  --from DIR        install from this folder, with no network (TIDEGATE_FROM)
  --version V       which version to fetch (TIDEGATE_VERSION; default: latest)
  --base-url URL    where versions are: URL/V/tidegate-linux-ARCH and URL/V/SHA256SUMS (TIDEGATE_BASE_URL)
  --sha256 HASH     what the file must be, beside what SHA256SUMS says
  --prefix DIR      default: /usr/local for root, else ~/.local
  --service         set the systemd service up even where systemd is not running
  --no-service      the program alone
  --dry-run         say what would be done, and do nothing
  --uninstall       take away what was installed; configuration and state stay
  --purge           the same, with configuration, state, logs and the user
  -q                say only what is wrong
USAGE
}

say() { [ "$quiet" = yes ] || printf '%s\n' "$*"; }
warn() { printf 'install.sh: %s\n' "$*" >&2; }
fail() {
    warn "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Whatever goes wrong, nothing is left half done: what is written beside its place and was not moved there goes.
clean() {
    status=$?
    trap - EXIT
    [ -z "$staged" ] || rm -f "$staged" "$staged.sums"
    printf '%s\n' "$made" | while read -r target; do
        [ -z "$target" ] || [ ! -e "$target.new" ] || rm -f "$target.new"
    done
    [ "$status" = 0 ] || [ "$act" != install ] || printf '%s\n' "$folders" | remove_folders
    exit "$status"
}

# Makes a folder and those above it, and remembers which were not there.
folder() {
    [ -d "$1" ] && return 0
    [ "$1" = / ] || folder "${1%/*}" || return 1
    mkdir "$1" 2>/dev/null || return 1
    folders="$1${folders:+
$folders}"
}

# The innermost come first; what has something of somebody else's in it stays.
remove_folders() {
    while read -r gone; do
        [ -z "$gone" ] || rmdir "$gone" 2>/dev/null || true
    done
}

main() {
    quiet=no from=${TIDEGATE_FROM:-} version=${TIDEGATE_VERSION:-latest} base=${TIDEGATE_BASE_URL:-} wanted="" prefix=""
    service=auto dry=no act=install staged="" made="" folders=""
    variables
    while [ $# -gt 0 ]; do
        case $1 in
            --from | --version | --base-url | --sha256 | --prefix)
                [ $# -ge 2 ] || fail "$1 takes a value; install.sh --help says which"
                case $1 in
                    --from) from=$2 ;;
                    --version) version=$2 ;;
                    --base-url) base=$2 ;;
                    --sha256) wanted=$2 ;;
                    --prefix) prefix=$2 ;;
                esac
                shift
                ;;
            --service) service=yes ;;
            --no-service) service=no ;;
            --dry-run) dry=yes ;;
            --uninstall) act=uninstall ;;
            --purge) act=purge ;;
            -q) quiet=yes ;;
            -h | --help)
                usage
                exit 0
                ;;
            *) fail "unknown option $1; install.sh --help lists those there are" ;;
        esac
        shift
    done
    places
    trap clean EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    if [ "$act" = install ]; then install_all; else uninstall_all; fi
}

# A variable of ours that is misspelt would be passed over in silence.
variables() {
    for name in $(env | sed -n 's/^\(TIDEGATE_[A-Z0-9_]*\)=.*/\1/p'); do
        case $name in
            TIDEGATE_FROM | TIDEGATE_VERSION | TIDEGATE_BASE_URL) ;;
            *) fail "unknown variable $name in the environment; known are TIDEGATE_FROM, TIDEGATE_VERSION, TIDEGATE_BASE_URL" ;;
        esac
    done
}

# Where everything goes. As an ordinary user there is no service: systemd's are root's.
places() {
    root=no
    [ "$(id -u)" != 0 ] || root=yes
    if [ -z "$prefix" ]; then
        if [ $root = yes ]; then
            prefix=/usr/local
        else
            [ -n "${HOME:-}" ] || fail "HOME is not set; say where with --prefix DIR"
            prefix=$HOME/.local
        fi
    fi
    case $prefix in
        /*) ;;
        *) prefix=$(pwd)/$prefix ;;
    esac
    bin=$prefix/bin/tidegate
    share=$prefix/share/tidegate
    manifest=$share/manifest
    unit=/etc/systemd/system/tidegate.service
    config=/etc/tidegate/tidegate.yaml
    running=no
    [ ! -d /run/systemd/system ] || running=yes
    if [ $service = yes ] && [ $root = no ]; then
        fail "--service takes root: run it with sudo, or leave --service out"
    fi
    if [ $service = auto ]; then
        service=no
        if [ $root = yes ] && [ $running = yes ]; then service=yes; fi
    fi
}

# ---- install ----------------------------------------------------------------------------------------------------------

install_all() {
    machine
    find_source
    writable
    expected
    program=$staged changed=yes
    if [ -x "$bin" ] && [ "$(hash_of "$bin")" = "$sum" ]; then
        program=$bin changed=no
    fi
    if [ $dry = yes ]; then
        if [ $changed = no ]; then say "$bin is up to date"; else say "would install $file from $where as $bin"; fi
        [ $service = no ] || say "would set up $unit and start it"
        exit 0
    fi
    [ $changed = no ] || stage
    # All of it is written beside its place first; then it is moved there, which takes no room.
    prepare
    [ $changed = no ] || mv -f "$staged" "$bin" || fail "cannot write $bin: no permission?"
    printf '%s\n' "$made" | while read -r target; do
        [ ! -e "$target.new" ] || mv -f "$target.new" "$target" || fail "cannot write $target: no permission?"
    done
    staged_is_gone
    if [ $changed = yes ]; then say "installed $("$bin" version) as $bin"; else say "$bin is up to date ($("$bin" version))"; fi
    [ $service = no ] || start_service
    case ":$PATH:" in
        *":$prefix/bin:"*)
            found=$(command -v tidegate || true)
            [ "$found" = "$bin" ] || warn "note: $found comes first in PATH, before $bin"
            ;;
        *) say "note: $prefix/bin is not in PATH; run it as $bin" ;;
    esac
}

staged_is_gone() {
    [ -z "$staged" ] || rm -f "$staged" "$staged.sums"
    staged=""
}

# What this machine can run; each "no" with its reason.
machine() {
    [ "$(uname -s)" = Linux ] || fail "Tidegate's single file is for Linux, and this is $(uname -s): use pip install tidegate"
    arch=$(uname -m)
    case $arch in
        x86_64 | amd64) arch=x86_64 ;;
        aarch64 | arm64) arch=aarch64 ;;
        *) fail "there is no single file for $arch, only for x86_64 and aarch64" ;;
    esac
    file=tidegate-linux-$arch
    have sha256sum || have shasum || have openssl ||
        fail "none of sha256sum, shasum and openssl is here: what is installed could not be checked"
    if musl; then
        fail "this system's C library is musl (Alpine?), and the single file needs glibc 2.31 or newer: use a container image on glibc"
    fi
    libc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/^glibc //')
    case $libc in
        "" | *[!0-9.]*) ;;
        *)
            major=${libc%%.*} rest=${libc#*.}
            minor=${rest%%.*}
            if [ "$major" -lt 2 ] || { [ "$major" -eq 2 ] && [ "$minor" -lt 31 ]; }; then
                fail "this system's glibc is $libc, and the single file needs 2.31 or newer (Debian 11, Ubuntu 20.04, RHEL 9)"
            fi
            ;;
    esac
}

musl() {
    for loader in /lib/ld-musl-*; do
        [ ! -e "$loader" ] || [ -e "/lib64/ld-linux-x86-64.so.2" ] || [ -e "/lib/ld-linux-aarch64.so.1" ] || return 0
    done
    have ldd && ldd --version 2>&1 | grep -qi musl
}

find_source() {
    if [ -n "$from" ]; then
        [ -d "$from" ] || fail "--from $from: there is no such folder"
        for needed in "$file" SHA256SUMS; do
            [ -r "$from/$needed" ] || fail "--from $from: there is no $needed in it"
        done
        where=$from
        return
    fi
    [ -n "$base" ] || fail "say where to get it: --from DIR, or --base-url URL (TIDEGATE_BASE_URL)"
    case $base in
        https://* | http://127.0.0.1:* | http://localhost:*) ;;
        *) fail "$base: only https:// is fetched from" ;;
    esac
    if have curl; then
        fetcher=curl
    elif have wget; then
        fetcher=wget
    else
        fail "neither curl nor wget is here: install one, or bring $file and SHA256SUMS here and use --from DIR"
    fi
    where=${base%/}/$version
}

# Tried before anything is fetched.
writable() {
    [ $dry = no ] || return 0
    folder "$prefix/bin" || fail "cannot make $prefix/bin: no permission? --prefix DIR installs elsewhere"
    staged=$prefix/bin/.tidegate.new.$$
    (umask 077 && : >"$staged") 2>/dev/null || {
        staged=""
        fail "cannot write to $prefix/bin: no permission, or no space? --prefix DIR installs elsewhere"
    }
}

fetch() { # URL FILE
    if [ "$fetcher" = curl ]; then
        curl --fail --silent --show-error --location --retry 3 --proto '=https,http' --proto-redir '=https' --tlsv1.2 -o "$2" "$1"
    else
        wget -q -O "$2" "$1"
    fi || fail "cannot fetch $1: no network? Bring it here otherwise, and use --from DIR"
}

hash_of() {
    if have sha256sum; then
        sha256sum <"$1" | cut -d ' ' -f 1
    elif have shasum; then
        shasum -a 256 <"$1" | cut -d ' ' -f 1
    else
        openssl dgst -sha256 -r <"$1" | cut -d ' ' -f 1
    fi
}

expected() {
    if [ -n "$from" ]; then
        sums=$from/SHA256SUMS
    elif [ $dry = yes ]; then
        sum=unknown
        return
    else
        sums=$staged.sums
        fetch "$where/SHA256SUMS" "$sums"
    fi
    sum=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$file\$/\1/p" "$sums")
    [ -n "$sum" ] || fail "$where/SHA256SUMS has no line for $file"
    if [ -n "$wanted" ] && [ "$wanted" != "$sum" ]; then
        fail "$file is not what was asked for: --sha256 says $wanted, $where/SHA256SUMS says $sum"
    fi
}

# Checked and tried where it will stand: a /tmp that runs no programs, or is not there, is no trouble.
stage() {
    if [ -n "$from" ]; then
        cp "$from/$file" "$staged" 2>/dev/null || fail "cannot copy $file to $prefix/bin: is the disk full?"
    else
        fetch "$where/$file" "$staged"
    fi
    got=$(hash_of "$staged")
    [ "$got" = "$sum" ] || fail "$file is damaged or was changed: it should be $sum and is $got; nothing was installed"
    chmod 755 "$staged"
    told=$("$staged" version 2>&1) || fail "$file does not run here: $told (is $prefix mounted noexec, or the C library too old?)"
}

# What goes with the program: man page, completions, the service's files, the manifest that an uninstall goes by.
prepare() {
    generate "$prefix/share/man/man1/tidegate.1" manpage
    generate "$prefix/share/bash-completion/completions/tidegate" completion bash
    generate "$prefix/share/zsh/site-functions/_tidegate" completion zsh
    generate "$prefix/share/fish/vendor_completions.d/tidegate.fish" completion fish
    if [ $service = yes ]; then
        generate /etc/sysusers.d/tidegate.conf service sysusers
        generate /etc/logrotate.d/tidegate service logrotate
        generate "$unit" service unit
    elif [ -r "$manifest" ] && grep -qx "$unit" "$manifest"; then
        for kept in /etc/sysusers.d/tidegate.conf /etc/logrotate.d/tidegate "$unit"; do remember "$kept"; done
    fi
    remember "$manifest"
    folder "$share" || fail "cannot make $share: no permission?"
    # Folders that were made end in a slash; those of earlier runs stay known.
    made_folders=$({ printf '%s\n' "$folders" && { [ ! -r "$manifest" ] || sed -n 's|/$||p' "$manifest"; }; } | sed '/^$/d; s|$|/|')
    printf '%s\n' "$bin" "$made" "$made_folders" 2>/dev/null >"$manifest.new" || fail "cannot write $manifest: is the disk full?"
    unchanged "$manifest"
}

# What is the same is left as it is.
unchanged() {
    if [ -f "$1" ] && [ "$(hash_of "$1")" = "$(hash_of "$1.new")" ]; then rm -f "$1.new"; fi
}

remember() {
    made="${made:+$made
}$1"
}

generate() { # FILE WORD...
    target=$1
    shift
    remember "$target"
    folder "${target%/*}" || fail "cannot make ${target%/*}: no permission?"
    { "$program" "$@" | sed "s|$program|$bin|g"; } 2>/dev/null >"$target.new" || fail "cannot write $target: is the disk full?"
    # Half of a pipe that fails goes unnoticed: what was written must end as it should.
    [ -s "$target.new" ] || fail "cannot write $target: is the disk full?"
    chmod 644 "$target.new"
    unchanged "$target"
}

start_service() {
    if have systemd-sysusers; then systemd-sysusers /etc/sysusers.d/tidegate.conf 2>/dev/null || true; fi
    # Written once and then the administrator's: neither is replaced, and only a purge takes them.
    mkdir -p /etc/tidegate /etc/default
    if [ ! -e $config ]; then
        "$bin" init --yes --output $config >/dev/null
        # It may come to hold secrets: for the service's group, where it has a fixed one.
        if chgrp tidegate $config 2>/dev/null; then chmod 640 $config; fi
    fi
    [ -e /etc/default/tidegate ] || (umask 077 && "$bin" service environment >/etc/default/tidegate)
    if [ $running = no ]; then
        say "systemd is not running here; to start: systemctl enable --now tidegate"
        return
    fi
    systemctl daemon-reload
    if systemctl --quiet is-active tidegate; then
        [ $changed = yes ] || return 0
        if told=$("$bin" upgrade -c $config --state /var/lib/tidegate 2>&1); then
            say "$told"
        else
            warn "the service goes on with the old program ($told); systemctl restart tidegate takes the new one"
        fi
    elif systemctl --quiet enable --now tidegate; then
        say "the service tidegate runs; its configuration is $config"
    else
        fail "the service does not start: $(journalctl -t tidegate -n 1 -o cat 2>/dev/null)"
    fi
}

# ---- uninstall --------------------------------------------------------------------------------------------------------

uninstall_all() {
    if [ ! -r "$manifest" ]; then
        [ "$act" = purge ] || fail "nothing is installed under $prefix: there is no $manifest"
    elif [ $dry = yes ]; then
        sed '/^$/d; s/^/would remove /' "$manifest"
    else
        if [ $running = yes ] && grep -qx "$unit" "$manifest"; then
            systemctl --quiet disable --now tidegate.socket tidegate.service 2>/dev/null ||
                systemctl --quiet disable --now tidegate.service 2>/dev/null || true
        fi
        installed=$(cat "$manifest")
        printf '%s\n' "$installed" | sed '/\/$/d; /^$/d' | while read -r path; do
            rm -f "$path" || fail "cannot remove $path: no permission?"
        done
        printf '%s\n' "$installed" | sed -n 's|/$||p' | remove_folders
        [ $running = no ] || systemctl daemon-reload
        say "removed what was installed under $prefix"
    fi
    if [ "$act" = purge ]; then purge_all; elif [ -e /etc/tidegate ] && [ $root = yes ]; then say "/etc/tidegate and the state stay; --purge removes them"; fi
}

purge_all() {
    if [ $root = yes ]; then
        set -- /etc/tidegate /etc/default/tidegate
        for kind in lib cache log; do set -- "$@" "/var/$kind/tidegate" "/var/$kind/private/tidegate"; done
        set -- "$@" /run/tidegate /run/private/tidegate /etc/systemd/system/tidegate.service.d /etc/systemd/system/tidegate.socket
    else
        set -- "${XDG_STATE_HOME:-$HOME/.local/state}/tidegate"
    fi
    for path in "$@"; do
        if [ ! -e "$path" ] && [ ! -L "$path" ]; then continue; fi
        if [ $dry = yes ]; then say "would remove $path"; else rm -rf "$path"; fi
    done
    if [ $root = yes ] && [ $dry = no ] && have userdel && grep -q '^tidegate:.*:/nonexistent:' /etc/passwd; then
        userdel tidegate 2>/dev/null || true
        if have groupdel && grep -q '^tidegate:' /etc/group; then groupdel tidegate 2>/dev/null || true; fi
    fi
    say "removed configuration, state and logs"
}

main "$@"
