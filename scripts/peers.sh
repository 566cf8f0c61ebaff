# Sourced before the tests: see to it that the real peers are there, or say plainly that their tests are left out.
if [ ! -x /usr/sbin/Orthanc ] || [ ! -x /usr/bin/storescu ] || [ ! -x /usr/bin/strace ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing orthanc, dcmtk and strace for the tests with real peers"
        # No service is to start by itself: tests start their own peers on free ports.
        mkdir -p /usr/sbin
        [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; made_policy=1; }
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends orthanc dcmtk strace >/dev/null 2>&1 || true
        [ -z "${made_policy:-}" ] || rm -f /usr/sbin/policy-rc.d
    fi
fi
if [ ! -x /usr/sbin/Orthanc ] || [ ! -x /usr/bin/storescu ]; then
    echo "Orthanc and DCMTK are not installed and cannot be installed here: the tests with real peers are left out"
    export DICOMNODE_TESTS_WITHOUT_PEERS=1
fi
