#!/usr/bin/env bash
# BeforeInstall: the user and the virtual environment that the service runs with. Safe to run again.
set -euo pipefail

# The files are not in place yet at this event: requirements.txt is read from the unpacked bundle, which is found
# from the script's own place, since the agent starts hooks in its own directory.
bundle="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
home=/opt/shop-api

if ! id --user shop-api >/dev/null 2>&1; then
  useradd --system --user-group --home-dir "$home" --shell /usr/sbin/nologin shop-api
fi
install --directory --owner root --group shop-api --mode 0755 "$home"
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check --requirement "$bundle/requirements.txt"
