#!/usr/bin/env bash
# ValidateService: every migration of the bundle is in the database.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=common.sh
source "$here/common.sh"

load_settings
wanted="$(find "$migrations" -name '*.sql' -exec basename {} .sql \; | LC_ALL=C sort)"
applied="$(query --command 'SELECT version FROM schema_migrations' | LC_ALL=C sort)"
missing="$(comm -23 <(echo "$wanted") <(echo "$applied"))"
if [[ -n "$missing" ]]; then
  echo "not applied: $missing" >&2
  exit 1
fi
echo "the schema is at $(tail -n 1 <<<"$wanted")"
