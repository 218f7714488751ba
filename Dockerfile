# One image for every process: driftline worker, driftline api, driftline recorder.
FROM python:3.11-slim AS environment
ARG UV_VERSION=0.13.9
RUN pip install --no-cache-dir uv==${UV_VERSION}
WORKDIR /build
COPY pyproject.toml uv.lock ./
# the lock file names no host: versions and hashes count, from whichever index is configured (docs/adr/0001)
RUN uv export -q --frozen --no-default-groups --no-emit-project -o requirements.txt \
 && uv venv -q /opt/driftline \
 && VIRTUAL_ENV=/opt/driftline uv pip install -q --no-cache --require-hashes -r requirements.txt

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/driftline driftline \
 && install -d -o driftline /var/lib/driftline/alerts
COPY --from=environment /opt/driftline /opt/driftline
COPY LICENSE /opt/driftline/
COPY topics /opt/driftline/src/topics
COPY app /opt/driftline/src/app
COPY agents /opt/driftline/src/agents
COPY api /opt/driftline/src/api
RUN /opt/driftline/bin/python -m compileall -q /opt/driftline/src
ENV PATH=/opt/driftline/bin:$PATH \
    PYTHONPATH=/opt/driftline/src \
    PYTHONUNBUFFERED=1 \
    DRIFTLINE_STATE_DIR=/var/lib/driftline \
    DRIFTLINE_ALERTS_DIR=/var/lib/driftline/alerts
USER driftline
WORKDIR /var/lib/driftline
EXPOSE 8700
ENTRYPOINT ["python", "-m", "app.cli"]
CMD ["--help"]
