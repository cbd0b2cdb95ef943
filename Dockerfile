# syntax=docker/dockerfile:1

# The page's one dependency, embedded into the binary below.
FROM node:22-bookworm-slim AS page
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
COPY --from=page /build/node_modules node_modules
RUN cargo build --release --locked --bin streamgauge

FROM debian:bookworm-slim
# redis-server: the stand-alone default supervises one of its own. tzdata: STREAMGAUGE_NAIVE_TIME.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends redis-server tzdata \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin streamgauge \
 && install --directory --owner streamgauge --group streamgauge --mode 700 /data
COPY --from=build /build/target/release/streamgauge /usr/local/bin/streamgauge
ENV STREAMGAUGE_BIND=0.0.0.0 \
    STREAMGAUGE_MQTT_LISTEN=0.0.0.0:1883 \
    STREAMGAUGE_DATA_DIR=/data
USER 10001
VOLUME /data
EXPOSE 5000 1883
# It stops within ten seconds of SIGTERM; give it `docker stop --time 15`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["streamgauge", "health"]
ENTRYPOINT ["streamgauge"]
