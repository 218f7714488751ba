FROM driftline-test/debian
RUN apt-get update -qq \
 && groupadd --system --gid 999 postgres && useradd --system --uid 999 --gid 999 postgres \
 && apt-get install -y -qq --no-install-recommends postgresql > /dev/null \
 && install -d -o postgres -g postgres /var/lib/postgresql/data /var/run/postgresql
COPY postgres-start /usr/local/bin/postgres-start
VOLUME /var/lib/postgresql/data
EXPOSE 5432
ENTRYPOINT ["bash", "/usr/local/bin/postgres-start"]
