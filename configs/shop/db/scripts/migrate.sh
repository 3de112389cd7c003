#!/usr/bin/env bash
# AfterInstall: applies, in the order of their names, the migrations that the database doesn't have yet.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=common.sh
source "$here/common.sh"

load_settings
for file in "$migrations"/*.sql; do
  query --single-transaction --set "version=$(basename "$file" .sql)" --set "file=$file" \
    --output /dev/null --file "$here/apply.sql"
done
