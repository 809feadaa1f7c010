# `make help` says what there is. Everything is kept in this directory and in $(DATA); `make clean` removes both.

DATA ?= /var/lib/ebb
LISTEN ?= 127.0.0.1:7070
CACHE := .cache
EBB := target/release/ebb
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help run stop clean test bench packages image images test-images

help:
	@echo 'make run     install what is missing, build, start, show the main job, stay up'
	@echo 'make stop    release all guests; bills and accounts stay'
	@echo 'make test    install what is missing, run every check and test'
	@echo 'make bench   print the measurements'
	@echo 'make images  make a Debian 12 that boots as any cloud image does; needs root and some minutes'
	@echo 'make test-images   the same, and a guest that boots it'
	@echo 'make clean   remove every trace, the database included'

run: packages image
	cargo build --release --locked -p ebb
	$(EBB) up --data $(DATA) --listen $(LISTEN) --image $(CACHE)/guest --debian $(CACHE)/debian

stop: image
	@[ -x $(EBB) ] || cargo build --release --locked -p ebb
	$(EBB) up --stop --data $(DATA) --listen $(LISTEN) --image $(CACHE)/guest --debian $(CACHE)/debian

packages:
	@scripts/packages run

image:
	@guest/build $(CACHE)/guest

images:
	@scripts/packages images
	@$(SUDO) images/build $(CACHE)/debian

test-images: images
	@scripts/packages test
	EBB_DEBIAN=$(CURDIR)/$(CACHE)/debian cargo test -p ebb-host --test guests --locked debian -- --ignored --nocapture

test:
	@scripts/packages test
	@scripts/test

bench:
	@scripts/packages test
	@guest/build $(CACHE)/guest
	@scripts/bench

clean:
	@if [ -d $(DATA) ]; then \
	  [ ! -x $(DATA)/bin/ebb ] || $(SUDO) $(DATA)/bin/ebb host --clean --data $(DATA)/host; \
	  $(SUDO) rm -rf $(DATA); fi
	rm -rf target $(CACHE)
