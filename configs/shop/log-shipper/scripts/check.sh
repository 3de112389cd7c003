#!/usr/bin/env bash
# ValidateService
set -euo pipefail

systemctl is-active rsyslog.service
