#!/usr/bin/env bash
# BeforeInstall: the worker needs nothing but Python 3.9 or newer.
set -euo pipefail

/usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 9) and "Python 3.9 or newer is needed")'
install --directory --mode 0755 /opt/shop-jobs
