# The image: service and monitor as a user that is not root, on a root file system that may be read-only.
#
#   docker build --tag plumbline .
#   docker run --read-only --tmpfs /tmp --volume plumbline:/var/lib/plumbline --publish 127.0.0.1:3000:3000 --publish 127.0.0.1:3001:3001 plumbline
#
# BASE is any image with python3 ≥ 3.11 and venv. Pin it by digest where it is built: --build-arg BASE=…@sha256:… (the tag below is only
# the name of the line we test on: a digest written here without a registry to check it against would be a guess).
# pip takes its configuration from the machine that builds (--volume …/pip.conf:/etc/pip.conf:ro, or a BuildKit secret); none stays in the image.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /build
RUN python3 -m venv /opt/plumbline
COPY requirements.lock .
RUN /opt/plumbline/bin/python -m pip install --disable-pip-version-check --require-hashes --no-deps --requirement requirements.lock
COPY . .
RUN /opt/plumbline/bin/python -m pip install --disable-pip-version-check --no-deps --no-index --no-build-isolation . \
    && /opt/plumbline/bin/python -m pip uninstall --yes pip setuptools \
    && mkdir -p /home-of-plumbline

FROM ${BASE}
COPY --from=build /opt/plumbline /opt/plumbline
# Everything that changes lives in the volume; what may be lost lives in /tmp.
COPY --from=build --chown=10001:10001 /home-of-plumbline /var/lib/plumbline
ENV PATH=/opt/plumbline/bin:/usr/local/bin:/usr/bin:/bin \
    PLUMBLINE_HOME=/var/lib/plumbline \
    BENTOML_HOME=/tmp/bentoml \
    BENTOML_DO_NOT_TRACK=True \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/plumbline
VOLUME /var/lib/plumbline
# By number: Kubernetes' runAsNonRoot cannot judge a name.
USER 10001:10001
EXPOSE 3000 3001
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["/opt/plumbline/bin/python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:3000/readyz', timeout=2)"]
ENTRYPOINT ["plumbline"]
# Inside a container the loopback address is the container's own: what may reach it is decided by what is published. Bound to any other
# address it asks for API keys: `docker exec NAME plumbline keys add …`, or --env PLUMBLINE_API_KEYS=off --env PLUMBLINE_MONITOR_API_KEYS=off.
CMD ["up", "--host", "0.0.0.0"]
