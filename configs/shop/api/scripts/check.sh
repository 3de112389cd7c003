#!/usr/bin/env bash
# ValidateService: the health endpoint answers within a minute, or the deployment fails with the service's last words.
set -euo pipefail

url="${SHOP_API_HEALTH_URL:-http://127.0.0.1:8000/healthz}"

if ! curl --fail --silent --show-error --max-time 5 \
  --retry 30 --retry-delay 2 --retry-max-time 60 --retry-connrefused "$url"; then
  journalctl --unit shop-api.service --lines 20 --no-pager >&2 || true
  exit 1
fi
