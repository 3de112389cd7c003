# One command, one run: `docker run … apply release.yaml` does the release and exits with the run's own exit code.
#
#   docker build -t orchestrator .
#   docker run --rm --init --read-only --tmpfs /tmp \
#     -v "$PWD/configs:/release/configs:ro" -v orchestrator-state:/release/.orchestrator \
#     -e AWS_ACCESS_KEY_ID -e AWS_SECRET_ACCESS_KEY -e AWS_SESSION_TOKEN -e GIT_SHA \
#     orchestrator apply configs/shop/release.yaml -e staging
#
# State    /release/.orchestrator is all that is written to: runs and their journals. A named volume keeps them for `status`
#          and `runs`; a host folder mounted there must be writable for uid 10001 (or add `--user`).
# Metrics  `-p 9464:9464` with `apply --metrics-listen 0.0.0.0:9464`. A run may be over before it is scraped: then use
#          `--pushgateway`, or `--metrics-textfile` on a volume.
# Stopping `docker stop` sends SIGTERM and kills after 10 s. Add `--stop-timeout` as long as the longest deployment, or
#          choose `apply --on-cancel detach` (or `stop`).
# Git      There is none in the image; hand commits in as variables (`-e GIT_SHA`, `apply --var`).
#
# The durable function as an image, for those who deploy Lambda that way; `make lambda` makes the zip:
#
#   docker build --target lambda --platform linux/arm64 --provenance=false -t orchestrator-lambda .

ARG PYTHON_VERSION=3.11
ARG LAMBDA_PYTHON_VERSION=3.13

# Both stages stand on the same image, since a virtual environment holds the path of its interpreter.
FROM python:${PYTHON_VERSION}-slim AS base

# Bytecode here and below is never compared with its source again: the image doesn't change, and a read-only container
# could not write any. The slim image comes without that of the standard library, so every start would compile it.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x '/(site-packages|lib2to3|tests?)/' \
    "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"


FROM base AS build

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /src
COPY constraints/runtime.txt constraints/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY orchestrator orchestrator

RUN pip wheel --no-deps --wheel-dir /dist . \
 && python -m venv --without-pip /opt/orchestrator \
 && pip --python /opt/orchestrator/bin/python install --no-compile --constraint constraints/runtime.txt /dist/*.whl \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/orchestrator/lib


# AWS's own image has the runtime that polls for invocations. Lambda itself runs it as a user without rights, read-only.
FROM amazon/aws-lambda-python:${LAMBDA_PYTHON_VERSION} AS lambda

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

COPY constraints/runtime.txt /tmp/runtime.txt
COPY --from=build /dist /tmp/dist

# A cold start finds bytecode, and compiles nothing.
RUN pip install --no-compile --constraint /tmp/runtime.txt --target "${LAMBDA_TASK_ROOT}" \
    "$(echo /tmp/dist/orchestrator-*.whl)[lambda]" \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash "${LAMBDA_TASK_ROOT}" \
 && rm -r /tmp/dist /tmp/runtime.txt

CMD ["orchestrator.durable.handler"]


FROM base

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="orchestrator" \
      org.opencontainers.image.description="Releases of many services on AWS CodeDeploy: one manifest, one run, nothing lost" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The folder belongs to the user before it becomes a volume, so that a new volume does too.
RUN groupadd --gid 10001 orchestrator \
 && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /release --shell /usr/sbin/nologin orchestrator \
 && install --directory --owner 10001 --group 10001 --mode 0700 /release/.orchestrator

COPY --from=build /opt/orchestrator /opt/orchestrator

# PYTHONUNBUFFERED: what was printed last must be in the CI log even when the container is killed.
ENV PATH=/opt/orchestrator/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

WORKDIR /release
VOLUME ["/release/.orchestrator"]
EXPOSE 9464

# By number, so that Kubernetes can see that it isn't root.
USER 10001:10001
ENTRYPOINT ["orchestrator"]
CMD ["--help"]
