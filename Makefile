# Targets explain themselves: make help.

GO ?= go
FUZZTIME ?= 10s
BENCH ?=
KILLS ?= 300
CUTS ?= 20
ERASURES ?= 50
DAMAGES ?= 200
CLIENTS ?= 20000
HISTORIES ?= 200
EVENTS ?= 100000000
DIR ?=

.DEFAULT_GOAL := help
.PHONY: help run demo build page screenshots bench-page pack test soak check notices messages bench bench-check bench-store generate fuzz

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start a server on ./eye-data
	$(GO) run ./cmd/eye serve

demo: ## start a server with a week of sample traffic, which goes on
	$(GO) run ./cmd/eye serve --demo

build: ## build bin/eye
	CGO_ENABLED=1 $(GO) build -o bin/eye ./cmd/eye

page: ## build the web page into internal/ui/dist; script/setup test installs what this needs
	@cd web && npm run --silent build

screenshots: ## take pictures of every screen of the web page into docs/images; look at them
	@cd web && npm run --silent screenshots

bench-page: ## measure the web page with EVENTS (2000000) events stored; takes about 15 minutes
	@cd web && EVENTS=$(if $(filter-out 100000000,$(EVENTS)),$(EVENTS),2000000) npm run --silent bench

pack: ## make the packages of the clients in bin/packages, and send an event from each
	@script/pack

# The tests of internal/store/duckdb and test spend their time in DuckDB and in other processes,
# which the race detector does not see. In the former, it runs on the conformance suite and on tests
# whose names end in Race: those in which several goroutines use a store.
APART = internal/store/duckdb|test
RACES = ^Test(Conformance|.*Race)$$

test: ## prepare this machine, then run all tests, with the race detector where goroutines meet
	@script/setup test
	@failed=0; \
	$(GO) test -race -vet=off -parallel 4 -timeout 20m $$($(GO) list ./... | grep -vE '/($(APART))$$') || failed=1; \
	$(GO) test -race -vet=off -parallel 4 -timeout 20m -run '$(RACES)/./(whole|while_events)' ./internal/store/duckdb || failed=1; \
	$(GO) test -vet=off -parallel 4 -timeout 40m ./internal/store/duckdb ./test || failed=1; \
	(cd clients/js && npm run --silent build && npm test --silent && npm run --silent test:browser) || failed=1; \
	(cd web && npm test --silent && npm run --silent test:browser) || failed=1; \
	(cd clients/python && python3 -W error::ResourceWarning -m unittest) || failed=1; \
	$(GO) -C clients/go test -race -vet=off -timeout 10m ./... || failed=1; \
	exit $$failed

soak: ## the tests of promises, long: KILLS (300), power CUTS (20), ERASURES (50) under load, DAMAGES (200) to files, HISTORIES (200) of a store, events of each client (CLIENTS, 20000)
	EYE_TEST_KILLS=$(KILLS) EYE_TEST_EVENTS=$$((5000 * $(KILLS))) EYE_TEST_CUTS=$(CUTS) EYE_TEST_ERASURES=$(ERASURES) EYE_TEST_DAMAGES=$(DAMAGES) \
		EYE_TEST_CLIENT_EVENTS=$(CLIENTS) EYE_TEST_CLIENT_KILLS=10 \
		$(GO) test -count 1 -v -run 'NothingAcknowledgedIsLost|PowerCut|ErasureLeavesNothing|TestDamage$$|ClientsLoseNothing' -timeout 3h ./test
	$(GO) test -race -count 1 -run 'TestLife|TestConformance|TestConditionsOnAnyData' -timeout 3h ./internal/store/duckdb -rapid.checks $(HISTORIES)

check: ## formatting, vet, module files, licenses, linters, generated files, the OpenAPI document
	@script/check

notices: ## write THIRD_PARTY.txt, the licenses of everything compiled into eye
	@script/notices

bench: ## measure a new server; BENCH="--rate 10000" passes flags to eye bench
	@script/bench $(BENCH)

bench-check: ## compare the speed of HEAD with BASE (origin/main, else main), PAIRS (9) times in turn; 30 minutes
	@script/bench-check

bench-store: ## fill a store with EVENTS (100000000) events and time questions; takes about an hour
	EYE_BENCH_EVENTS=$(EVENTS) EYE_BENCH_DIR=$(DIR) $(GO) test -run '^$$' -bench Reading -benchtime 1x -timeout 6h ./internal/store/duckdb

generate: ## rebuild generated files
	$(GO) generate ./...

fuzz: ## run every fuzz target for FUZZTIME (10s)
	@FUZZTIME=$(FUZZTIME) script/fuzz

messages: ## record the messages for users in test/testdata/messages; read the difference
	EYE_TEST_UPDATE=1 $(GO) test -count 1 -run 'TestMessages$$' ./test
	@git diff --stat -- test/testdata/messages
