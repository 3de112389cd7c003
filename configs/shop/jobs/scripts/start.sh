#!/usr/bin/env bash
# ApplicationStart: one bundle for all groups; the group's name is the queue to work on.
set -euo pipefail

unit="shop-jobs@${DEPLOYMENT_GROUP_NAME:?is set by the CodeDeploy agent}.service"

systemctl daemon-reload
systemctl enable --quiet "$unit"
systemctl restart "$unit"
