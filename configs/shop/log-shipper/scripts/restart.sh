#!/usr/bin/env bash
# ApplicationStart: rsyslog reads its configuration only when it starts.
set -euo pipefail

systemctl enable --quiet rsyslog.service
systemctl restart rsyslog.service
