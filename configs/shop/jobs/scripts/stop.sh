#!/usr/bin/env bash
# ApplicationStop: whatever queues this instance works on; none is fine.
set -euo pipefail

systemctl stop 'shop-jobs@*.service'
