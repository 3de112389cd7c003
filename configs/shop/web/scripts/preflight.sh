#!/usr/bin/env bash
# BeforeInstall: nginx comes with the machine image, not with the bundle.
set -euo pipefail

command -v nginx >/dev/null || { echo "nginx is not installed on this instance" >&2; exit 1; }
