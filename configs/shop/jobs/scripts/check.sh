#!/usr/bin/env bash
# ValidateService: the worker is still there after some seconds, so it didn't just start and crash.
set -euo pipefail

unit="shop-jobs@${DEPLOYMENT_GROUP_NAME:?is set by the CodeDeploy agent}.service"

sleep 5
if ! systemctl is-active --quiet "$unit"; then
  journalctl --unit "$unit" --lines 20 --no-pager >&2 || true
  exit 1
fi
