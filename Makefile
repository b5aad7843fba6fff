# What one does with the tree. `make run` and `make test` are all that a fresh machine needs.

CARGO ?= cargo
DATA_DIR ?= ./stance-data
BIND ?= 127.0.0.1:8080
MEASURE_DIR ?= ./measure-data
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: run test lint format bench bench-parts bench-whole bench-backends bench-graphql bench-lake bench-live bench-peers build-full

run: ## builds the embedded program, starts it with a demo clinic
	@command -v $(CARGO) >/dev/null || { echo "Rust is needed: see https://rustup.rs"; exit 1; }
	@command -v cc >/dev/null || { echo "A C compiler is needed (Debian: apt-get install gcc libc6-dev)"; exit 1; }
	@echo "Building the embedded program. The first time this takes about ten minutes on two cores; later, seconds."
	$(CARGO) build --release --locked -p stance -p stance-loadtest
	@$(TARGET)/release/stance-loadtest demo --program $(TARGET)/release/stance --data-dir $(DATA_DIR) --bind $(BIND)

test: ## every test, with everything compiled in
	@command -v cc >/dev/null || { echo "installing a C compiler"; apt-get update -q && apt-get install -qy gcc libc6-dev; }
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || if [ "$$(id -u)" = 0 ]; then \
	    echo "installing PostgreSQL, of which the tests start a cluster of their own"; \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy postgresql; \
	else \
	    echo "The tests start PostgreSQL's programs: install them (Debian: apt-get install postgresql)"; exit 1; \
	fi
	@python3 -m venv --help >/dev/null 2>&1 && python3 -c 'import ensurepip' 2>/dev/null || { \
	    [ "$$(id -u)" = 0 ] || { echo "Python with venv is needed (Debian: apt-get install python3-venv)"; exit 1; }; \
	    echo "installing python3-venv"; apt-get update -q && apt-get install -qy python3-venv; }
	@command -v node >/dev/null && command -v npm >/dev/null || { \
	    [ "$$(id -u)" = 0 ] || { echo "Node is needed (Debian: apt-get install nodejs npm)"; exit 1; }; \
	    echo "installing Node, whose graphql-ws the tests subscribe with"; \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends nodejs npm; }
	@command -v pdftoppm >/dev/null || if [ "$$(id -u)" = 0 ]; then \
	    echo "installing poppler-utils, which renders reports"; \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy poppler-utils; \
	else \
	    echo "The tests render reports: install poppler (Debian: apt-get install poppler-utils)"; exit 1; \
	fi
	@echo "Building the tests. The first time this takes about ten minutes on two cores."
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(CARGO) nextest run --locked --workspace --features full --no-fail-fast; \
	else \
	    $(CARGO) test --locked --workspace --features full --no-fail-fast; \
	fi

lint: ## formatting and clippy, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --features full -- -D warnings
	$(CARGO) clippy --locked -p stance -p stance-loadtest -- -D warnings

format:
	$(CARGO) fmt --all

bench: bench-parts bench-whole ## the parts, then the whole program

bench-parts:
	$(CARGO) bench --locked -p stance-models -p stance --bench parts --bench report

bench-whole:
	$(CARGO) build --release --locked -p stance -p stance-loadtest
	$(TARGET)/release/stance-loadtest measure --program $(TARGET)/release/stance --folder $(MEASURE_DIR)

bench-backends: ## SQLite, PostgreSQL and two processes; POSTGRES is a cluster in which databases may be made
	@[ -n "$(POSTGRES)" ] || { echo "say which cluster: make bench-backends POSTGRES=postgres://postgres@127.0.0.1:5432/postgres"; exit 1; }
	$(CARGO) build --release --locked -p stance -p stance-loadtest
	$(TARGET)/release/stance-loadtest backends --program $(TARGET)/release/stance --postgres $(POSTGRES) --folder $(MEASURE_DIR)

bench-graphql: ## a patient's page, a bare handler and PostGraphile; POSTGRES as for bench-backends
	@[ -n "$(POSTGRES)" ] || { echo "say which cluster: make bench-graphql POSTGRES=postgres://postgres@127.0.0.1:5432/postgres"; exit 1; }
	$(CARGO) build --release --locked -p stance -p stance-loadtest
	mkdir -p $(MEASURE_DIR)/postgraphile
	npm install --prefix $(MEASURE_DIR)/postgraphile --no-audit --no-fund --silent node@22 postgraphile@5
	$(TARGET)/release/stance-loadtest pages --program $(TARGET)/release/stance --postgres $(POSTGRES) \
	    --folder $(MEASURE_DIR)/pages --postgraphile $(MEASURE_DIR)/postgraphile

bench-lake: ## queries over the lake beside DuckDB's over the same files
	$(CARGO) build --release --locked -p stance -p stance-loadtest --features aws,lake
	@[ -x $(TARGET)/duckdb/bin/python ] || python3 -m venv $(TARGET)/duckdb
	@$(TARGET)/duckdb/bin/pip install --quiet duckdb==2.0.1
	$(TARGET)/release/stance-loadtest lake --program $(TARGET)/release/stance --python $(TARGET)/duckdb/bin/python --folder $(MEASURE_DIR)

bench-live: ## 1,000 subscribers that are told of one score
	$(CARGO) build --release --locked -p stance -p stance-loadtest
	$(TARGET)/release/stance-loadtest live --program $(TARGET)/release/stance --folder $(MEASURE_DIR)

bench-peers: ## the inference server beside MLServer, and training beside scikit-learn
	$(CARGO) build --release --locked -p stance -p stance-loadtest
	@[ -x $(TARGET)/mlserver/bin/mlserver ] || python3 -m venv $(TARGET)/mlserver
	@$(TARGET)/mlserver/bin/pip install --quiet mlserver==1.7.1 mlserver-sklearn==1.7.1 uvloop==0.21.0
	$(TARGET)/release/stance-loadtest peers --program $(TARGET)/release/stance --environment $(TARGET)/mlserver --folder $(MEASURE_DIR)

build-full: ## the production program
	$(CARGO) build --release --locked -p stance --features aws,lake
