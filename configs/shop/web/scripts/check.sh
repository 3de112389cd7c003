#!/usr/bin/env bash
# ValidateService: nginx answers, and with this site.
set -euo pipefail

base="${SHOP_WEB_URL:-http://127.0.0.1:8080}"

curl --fail --silent --show-error --max-time 5 --retry 10 --retry-delay 1 --retry-max-time 30 --retry-connrefused \
  "$base/healthz"
page="$(curl --fail --silent --show-error --max-time 5 "$base/")"
[[ "$page" == *'<title>The shop</title>'* ]] || { echo "$base/ is not the shop's page" >&2; exit 1; }
