# The studio's image, for ops/kuberay and cluster.yaml. Two targets:
#   docker build --target app -t REGISTRY/studio:1.0 .
#     checkpoints come from a volume (`python -m ops.kuberay --models-claim`) or from the hub
#   docker build --target checkpoints --secret id=HF_TOKEN -t REGISTRY/studio:1.0-models .
#     with the checkpoints of models.lock inside; starts without a network
# Write models.lock first (`studio models lock`). The token is only needed for a hub that asks for one.
# The base is named by tag, because a digest changes with every security update: pin it where you
# build, --build-arg PYTHON_IMAGE=python:3.12-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

# The steps of `make install`, and the packages of Ray's autoscaler on Azure (`ray up`).
FROM ${PYTHON_IMAGE} AS packages
ENV PIP_NO_CACHE_DIR=1
WORKDIR /srv/studio
RUN python -m venv .venv
COPY requirements.lock requirements-azure.lock ./
RUN .venv/bin/python -m pip --disable-pip-version-check --no-input install --progress-bar on --require-hashes -r requirements.lock
# hadolint ignore=DL3059
RUN .venv/bin/python -m pip --disable-pip-version-check --no-input install -q --require-hashes --no-deps -r requirements-azure.lock
COPY . .
RUN .venv/bin/python -m pip --disable-pip-version-check --no-input install -q --no-deps --no-build-isolation -e . \
  && .venv/bin/python -m compileall -q -x '/[.]venv/' .

FROM ${PYTHON_IMAGE} AS app
# The head of `ray up` reaches its workers by ssh and rsync; the health check, and the probes of KubeRay
# before 1.6, use wget. Versions are the base's.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends openssh-client rsync wget \
  && rm -rf /var/lib/apt/lists/*
# Login shells, in which KubeRay and `ray up` start Ray, forget the PATH of the image.
# hadolint ignore=SC2016
RUN useradd --uid 1000 --create-home --shell /bin/bash studio \
  && mkdir -p /var/lib/studio /srv/models \
  && chown studio: /var/lib/studio /srv/models \
  && echo 'export PATH="/srv/studio/.venv/bin:$PATH"' > /etc/profile.d/studio.sh
COPY --from=packages /srv/studio /srv/studio
WORKDIR /srv/studio
ENV PATH=/srv/studio/.venv/bin:$PATH \
  PYTHONPATH=/srv/studio \
  PYTHONUNBUFFERED=1 \
  HOME=/home/studio \
  HF_HOME=/srv/models \
  STUDIO_DATA_DIR=/var/lib/studio \
  NVIDIA_VISIBLE_DEVICES=all \
  NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000:1000
# Ray's agent answers on every node. Kubernetes has probes of its own.
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
  CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:52365/api/healthz"]
CMD ["studio", "--help"]

FROM app AS checkpoints
RUN --mount=type=secret,id=HF_TOKEN,uid=1000 \
  HF_TOKEN="$(cat /run/secrets/HF_TOKEN 2>/dev/null || true)" STUDIO_PROFILE=production studio models fetch
ENV HF_HUB_OFFLINE=1
