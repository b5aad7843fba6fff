# The production image: everything compiled in, nothing else aboard. Not built in CI, which has no container engine.
FROM rust:1.95-bookworm AS build
WORKDIR /stance
COPY . .
RUN cargo build --release --locked -p stance --features aws,lake

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
RUN useradd --system --home-dir /var/lib/stance --create-home stance
COPY --from=build /stance/target/release/stance /usr/local/bin/stance
USER stance
WORKDIR /var/lib/stance
ENV STANCE__DATA_DIR=/var/lib/stance/data STANCE__HTTP__BIND=0.0.0.0:8080 STANCE__HTTP__QUERY_PAGE=false STANCE__LOG__FORMAT=json
EXPOSE 8080
VOLUME /var/lib/stance/data
ENTRYPOINT ["stance"]
CMD ["serve"]
