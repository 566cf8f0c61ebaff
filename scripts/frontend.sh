#!/bin/sh
# What pages load that is not ours: fetched by npm as the lock file says, copied to static/vendor.
# `frontend.sh tests` also fetches what the tests in a browser need. Without npm pages work, but do not renew themselves.
set -eu
cd "$(dirname "$0")/../dicomnode/web/frontend"
built=../static/vendor/htmx.min.js
omit=--omit=dev
[ "${1:-}" != tests ] || omit=--include=dev

fresh() { # both are newer than the lock file
    [ "$built" -nt package-lock.json ] && { [ "$omit" = --omit=dev ] || [ node_modules/axe-core/axe.min.js -nt package-lock.json ]; }
}

! fresh || exit 0
if ! command -v npm >/dev/null; then
    echo "npm is not installed: the pages work, but do not renew themselves (live updates are off)"
    exit 0
fi
echo "fetching what the pages load (npm)"
if ! { npm ci --silent $omit && npm run --silent build; }; then
    echo "npm could not fetch it: the pages work, but do not renew themselves (live updates are off)"
    exit 0
fi
touch "$built"
[ "$omit" = --omit=dev ] || touch node_modules/axe-core/axe.min.js
