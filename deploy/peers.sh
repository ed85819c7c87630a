# Sourced by deploy/demo and deploy/test: real peers from Debian's packages, where this user may install them.
want() { # PACKAGE PROGRAM: installs PACKAGE if PROGRAM (or a file) is missing; without root or apt-get it only says so
    { command -v "$2" || [ -e "$2" ]; } >/dev/null && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "$2 is not installed and this user cannot install it (Debian, Ubuntu: apt-get install $1)"
        return
    fi
    echo "installing $1"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null 2>&1 ||
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null 2>&1; } ||
        echo "$1 could not be installed"
    # the package's own service would keep a port that listens on every address
    if [ "$1" = orthanc ] && command -v systemctl >/dev/null; then systemctl disable --now orthanc >/dev/null 2>&1 || true; fi
}
