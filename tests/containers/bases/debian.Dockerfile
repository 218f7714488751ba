# What every base is made of; the certificates are the machine's, whose way to the packages may need its own.
FROM driftline-test/rootfs
COPY certificates.crt /etc/machine-certificates.crt
ENV SSL_CERT_FILE=/etc/machine-certificates.crt PIP_CERT=/etc/machine-certificates.crt
