#!/usr/bin/env bash
# BeforeInstall: finds out that the database can't be reached before anything is changed.
set -euo pipefail

# The agent starts hooks in its own directory, so everything is found from the script's own place.
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=common.sh
source "$here/common.sh"

command -v psql >/dev/null || { echo "psql is not installed on this instance" >&2; exit 1; }
load_settings
query --command 'SELECT 1' >/dev/null
echo "the database answers"
