#!/usr/bin/env bash
# ApplicationStart: systemd owns the process, so that nothing of it hangs on to the agent's output.
set -euo pipefail

systemctl daemon-reload
systemctl enable --quiet shop-api.service
systemctl restart shop-api.service
