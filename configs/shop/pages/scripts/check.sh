#!/usr/bin/env bash
# ValidateService: the page is there and can be read by everybody.
set -euo pipefail

page=/usr/share/shop-pages/maintenance.html
[[ "$(stat --format %a "$page")" == 644 ]] || { echo "$page is not readable by everybody" >&2; exit 1; }
