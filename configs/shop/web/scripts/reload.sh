#!/usr/bin/env bash
# ApplicationStart: reloads without dropping a connection, or starts what isn't running.
set -euo pipefail

systemctl enable --quiet nginx.service
systemctl reload-or-restart nginx.service
