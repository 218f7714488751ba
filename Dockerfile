# One image for every process: driftline worker, driftline api, driftline recorder.
FROM python:3.11-slim AS environment
ARG UV_VERSION=0.13.9
RUN pip install --no-cache-dir uv==${UV_VERSION}
WORKDIR /build
COPY pyproject.toml uv.lock ./
# the lock file names no host: versions and hashes count, from whichever index is configured (docs/adr/0001)
RUN uv export -q --frozen --no-default-groups --extra all --no-emit-project -o requirements.txt \
 && uv venv -q /opt/driftline \
 && VIRTUAL_ENV=/opt/driftline uv pip install -q --no-cache --compile-bytecode --require-hashes -r requirements.txt
COPY README.md LICENSE ./
COPY topics topics
COPY app app
COPY agents agents
COPY api api
COPY driftline_server driftline_server
# what builds it has the locked version too
RUN uv export -q --frozen --only-group dev --no-emit-project --no-hashes -o build.txt \
 && VIRTUAL_ENV=/opt/driftline uv pip install -q --no-cache --compile-bytecode --no-deps --build-constraint build.txt .

FROM python:3.11-slim
RUN groupadd --system --gid 10001 driftline \
 && useradd --system --uid 10001 --gid 10001 --create-home --home-dir /var/lib/driftline driftline \
 && install -d -o driftline -g driftline /var/lib/driftline/alerts
COPY --from=environment /opt/driftline /opt/driftline
ENV PATH=/opt/driftline/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DRIFTLINE_STATE_DIR=/var/lib/driftline \
    DRIFTLINE_ALERTS_DIR=/var/lib/driftline/alerts
USER 10001:10001
WORKDIR /var/lib/driftline
EXPOSE 8700
ENTRYPOINT ["driftline"]
CMD ["--help"]
