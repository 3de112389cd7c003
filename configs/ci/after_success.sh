#!/usr/bin/env bash
# What a CI job runs once its tests have passed: one application, one deployment group, no manifest.
#
#   CD_APP_NAME            the application at CodeDeploy
#   CD_DEPLOYMENT_GROUP    its deployment group
#   CD_BUCKET              the bucket for bundles. Without it: the commit is deployed from GitHub (CD_REPOSITORY)
#   CD_KEY                 the bundle's key; by default by commit, `${application}/${env.CD_COMMIT}.zip`. In a bucket that keeps
#                          versions, one key for each branch will do: '${application}/${env.CD_BRANCH}.zip'
#   CD_SOURCE              the folder with appspec.yml; by default the current one
#   CD_REPOSITORY          owner/name at GitHub, for a deployment from there
#   CD_ONLY_BRANCH         nothing is deployed from another one
#   CD_COMMIT, CD_BRANCH   by default what the CI system says, else git
#   AWS_…                  credentials and region, as for any AWS SDK
#
# It ends as the deployment ends: 0 when that has succeeded. Travis CI doesn't look at how `after_success` ends; put it at the end
# of `script`, or use `deploy: {provider: script}`, where a failed deployment is to fail the build.
set -euo pipefail

: "${CD_APP_NAME:?is not set: the name of the application at CodeDeploy}"
: "${CD_DEPLOYMENT_GROUP:?is not set: the name of its deployment group}"

first() { # the first argument that isn't empty
  local each
  for each in "$@"; do
    if [ -n "$each" ]; then
      printf '%s' "$each"
      return
    fi
  done
}

CD_COMMIT="$(first "${CD_COMMIT:-}" "${TRAVIS_COMMIT:-}" "${GITHUB_SHA:-}" "${CI_COMMIT_SHA:-}" "${CIRCLE_SHA1:-}" \
  "${GIT_COMMIT:-}" "${CODEBUILD_RESOLVED_SOURCE_VERSION:-}" "$(git rev-parse HEAD 2>/dev/null || true)")"
CD_BRANCH="$(first "${CD_BRANCH:-}" "${TRAVIS_BRANCH:-}" "${GITHUB_REF_NAME:-}" "${CI_COMMIT_REF_NAME:-}" "${CIRCLE_BRANCH:-}" \
  "${GIT_BRANCH:-}" "$(git branch --show-current 2>/dev/null || true)")"
export CD_COMMIT CD_BRANCH

if [ "${TRAVIS_PULL_REQUEST:-false}" != false ]; then
  echo "a pull request: nothing is deployed" >&2
  exit 0
fi
if [ -n "${CD_ONLY_BRANCH:-}" ] && [ "$CD_BRANCH" != "$CD_ONLY_BRANCH" ]; then
  echo "the branch is $CD_BRANCH, not $CD_ONLY_BRANCH: nothing is deployed" >&2
  exit 0
fi

if [ -n "${CD_BUCKET:-}" ]; then
  # shellcheck disable=SC2016 # the templates are push's
  pushed="$(orchestrator push --application-name "$CD_APP_NAME" --source "${CD_SOURCE:-.}" \
    --s3-location "s3://$CD_BUCKET/${CD_KEY:-"\${application}/\${env.CD_COMMIT}.zip"}")"
  # The last line is the command that deploys what was pushed, with the object's eTag, and its version where there is one.
  location="$(sed -n 's/.* --s3-location \([^ ]*\) .*/\1/p' <<<"$pushed")"
  revision=(--s3-location "$location")
else
  : "${CD_REPOSITORY:?is not set, nor is CD_BUCKET: owner/name at GitHub}"
  revision=(--github-location "repository=$CD_REPOSITORY,commitId=$CD_COMMIT")
fi

aws deploy create-deployment \
  --application-name "$CD_APP_NAME" \
  --deployment-group-name "$CD_DEPLOYMENT_GROUP" \
  --description "$CD_BRANCH $CD_COMMIT" \
  "${revision[@]}" \
  | orchestrator wait --result result.json
