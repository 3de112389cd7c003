#!/usr/bin/env bash
# AfterInstall: rsyslog would start without a part that it can't read; we would rather know.
set -euo pipefail

rsyslogd -N1
