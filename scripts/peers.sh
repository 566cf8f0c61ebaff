# Sourced before the tests: see to it that the real peers, PostgreSQL and a browser are there, or say plainly that their
# tests are left out.
postgres=/usr/lib/postgresql/15/bin
if [ ! -x /usr/sbin/Orthanc ] || [ ! -x /usr/bin/storescu ] || [ ! -x /usr/bin/strace ] || [ ! -x $postgres/initdb ] || ! command -v cc >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing orthanc, dcmtk, strace, postgresql-15 and gcc for the tests with real peers"
        # No service is to start by itself: tests start their own peers on free ports.
        mkdir -p /usr/sbin
        # Nor is PostgreSQL to make a cluster of its own.
        [ -e /etc/postgresql-common/createcluster.conf ] || { mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf; }
        [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; made_policy=1; }
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends orthanc dcmtk strace postgresql-15 gcc libc6-dev >/dev/null 2>&1 || true
        [ -z "${made_policy:-}" ] || rm -f /usr/sbin/policy-rc.d
    fi
fi
if [ ! -x /usr/sbin/Orthanc ] || [ ! -x /usr/bin/storescu ]; then
    echo "Orthanc and DCMTK are not installed and cannot be installed here: the tests with real peers are left out"
    export DICOMNODE_TESTS_WITHOUT_PEERS=1
fi
if [ ! -x $postgres/initdb ]; then
    echo "PostgreSQL 15 is not installed and cannot be installed here: the tests on PostgreSQL are left out"
    export DICOMNODE_TESTS_WITHOUT_POSTGRES=1
fi
# Pages are tested in Chromium; npm fetches what they load. With fonts for names that are not Latin.
browser_packages=
[ -x /usr/bin/chromium ] || browser_packages="chromium fonts-dejavu-core fonts-noto-cjk"
command -v npm >/dev/null || browser_packages="$browser_packages nodejs npm"
if [ -n "$browser_packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing $browser_packages for the tests in a browser"
    # shellcheck disable=SC2086 # several words on purpose
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $browser_packages; } >/dev/null 2>&1 || true
fi
if [ ! -x /usr/bin/chromium ] || ! command -v npm >/dev/null; then
    echo "Chromium and npm are not installed and cannot be installed here: the tests in a browser are left out"
    export DICOMNODE_TESTS_WITHOUT_BROWSER=1
fi
