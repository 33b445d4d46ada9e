# Two stages: the first builds the wheel and an environment around it, the second has only that environment.
FROM python:3.12-slim AS build
WORKDIR /source
RUN python -m venv /opt/driftgate
COPY pyproject.toml constraints.txt README.md LICENSE CHANGELOG.md ./
COPY driftgate driftgate
COPY gateway gateway
COPY models models
COPY features features
COPY monitoring monitoring
RUN /opt/driftgate/bin/pip install --no-cache-dir --disable-pip-version-check \
      --constraint constraints.txt '.[server,redis]'

FROM python:3.12-slim
LABEL org.opencontainers.image.title="driftgate" \
      org.opencontainers.image.description="Online model-serving gateway with built-in monitoring" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 driftgate \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin driftgate \
 && install --directory --owner 10001 --group 10001 /var/lib/driftgate/registry /var/lib/driftgate/state
COPY --from=build /opt/driftgate /opt/driftgate
ENV PATH=/opt/driftgate/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DRIFTGATE__SERVER__REGISTRY=/var/lib/driftgate/registry \
    DRIFTGATE__SERVER__STATE=/var/lib/driftgate/state
USER 10001:10001
WORKDIR /var/lib/driftgate
# Registry and state are the only places that are written to; the root file system may be read-only.
VOLUME ["/var/lib/driftgate"]
# 8000 predictions, 8002 metrics and probes. The admin API (8090) stays on the container's own loopback.
EXPOSE 8000 8002
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8002/health/ready', timeout=2)"]
ENTRYPOINT ["driftgate"]
CMD ["serve", "--host", "0.0.0.0", "--metrics-host", "0.0.0.0"]
