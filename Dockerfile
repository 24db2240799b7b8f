# The README's two commands in a container:
#   docker build --tag rnnbench .
#   docker run --rm rnnbench                                # make quickstart
#   docker run --rm rnnbench make test
# To keep what is trained, mount a folder that user 1000 may write to: --volume "$PWD/runs:/home/rnnbench/rnnbench/runs"

FROM python:3.11.14-slim-bookworm AS base

# A C compiler for the kernels of cells, a browser for the tests of the page. The lists of packages stay: some data comes
# as packages of Debian, fetched by apt-get. The archive of Debian keeps no earlier versions that could be pinned.
# hadolint ignore=DL3008,DL3009
RUN apt-get update -q \
    && apt-get install -q -y --no-install-recommends chromium gcc git libc6-dev make \
    && useradd --create-home --uid 1000 rnnbench \
    && install --directory --owner=rnnbench --group=rnnbench /home/rnnbench/rnnbench /home/rnnbench/.cache

USER rnnbench
WORKDIR /home/rnnbench/rnnbench
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    RNNBENCH_CACHE=/home/rnnbench/.cache/rnnbench

FROM base

# An index that has builds of torch for processors alone makes the image some gigabytes smaller: --build-arg
ARG PIP_EXTRA_INDEX_URL=""
COPY --chown=rnnbench:rnnbench . .
# the versions of constraints.txt
RUN make .venv/installed
CMD ["make", "quickstart"]
