# shellcheck shell=bash
# Sourced by the hooks of this bundle.

# Where the instance keeps its connection (PGHOST, PGDATABASE, PGUSER, PGPASSFILE); never part of a bundle.
settings="${SHOP_DB_SETTINGS:-/etc/shop-db/environment}"
# shellcheck disable=SC2034  # used by the scripts that source this file
migrations="${SHOP_DB_MIGRATIONS:-/opt/shop-db/migrations}"

load_settings() {
  if [[ ! -r "$settings" ]]; then
    echo "$settings is missing: put PGHOST, PGDATABASE, PGUSER and PGPASSFILE there" >&2
    return 1
  fi
  set -a
  # shellcheck disable=SC1090  # a file of the instance
  source "$settings"
  set +a
}

# psql that reads no .psqlrc, prints only what is asked for, and fails on the first error.
query() {
  psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"
}
