#!/usr/bin/env bash
# AfterInstall: a configuration that nginx refuses must not reach a reload.
set -euo pipefail

nginx -t
