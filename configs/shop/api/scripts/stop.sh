#!/usr/bin/env bash
# ApplicationStop: runs from the revision before this one. A service that isn't there is a stopped one.
set -euo pipefail

if systemctl cat shop-api.service >/dev/null 2>&1; then
  systemctl stop shop-api.service
fi
