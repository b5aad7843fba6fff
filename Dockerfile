# The production image: everything compiled in, nothing else aboard. Not built in CI, which has no container engine.
FROM rust:1.95-bookworm AS build
WORKDIR /stance
COPY . .
RUN cargo build --release --locked -p stance --features aws,lake

# `docker build --target model-server .`: the container of Amazon SageMaker. The platform starts it with `serve` or `train`.
FROM debian:bookworm-slim AS model-server
LABEL com.amazonaws.sagemaker.capabilities.multi-models=true
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true
COPY --from=build /stance/target/release/stance /usr/local/bin/stance
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/stance", "model-server"]
CMD ["serve"]

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
