FROM driftline-test/debian
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless > /dev/null \
 && useradd --uid 1000 --create-home appuser \
 && install -d -o appuser -g appuser /var/lib/kafka/data /etc/kafka
COPY libs /opt/kafka/libs
COPY kafka-start /opt/kafka/start
USER appuser
VOLUME /var/lib/kafka/data
EXPOSE 9092
ENTRYPOINT ["bash", "/opt/kafka/start"]
