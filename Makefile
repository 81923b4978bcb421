PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --quiet
SECONDS ?= 600
# Installs Debian packages, after it has said which.
DEBIAN := bash .ci/debian
CHROMIUM := chromium-headless-shell,chromium
# pytest-timeout can't end a test that waits inside a library in C, such as libpq. The process of such a test ends with
# the place where it hangs, and the run with the name of the test: a process that takes over would begin the same test.
# Where something is broken for all tests, and each waits for its limit of time, the run ends after twenty of them.
HANGING := -o faulthandler_timeout=700 -o faulthandler_exit_on_timeout=true --max-worker-restart=0 --maxfail=20
SUITE = $(BIN)/python -m pytest -rs -n $$(($$(nproc) * 2)) --dist loadfile --no-loadscope-reorder $(HANGING)
FONTS := /usr/share/fonts/truetype/dejavu=fonts-dejavu-core

.PHONY: help install lock demo demo-outage demo-restore forget test test-long test-packages lint chaos bench deb deb-trial clone-trial repository \
	image image-trial matrix messages openapi papers screenshots

help:
	@echo "make demo | demo-outage | demo-restore | forget | test | test-long | lint | install | lock [UPGRADE=1] | chaos [SECONDS=600] | bench [QUICK=1] [BEFORE=commit] | deb [FOR=trixie] | deb-trial [FOR=trixie] | clone-trial | repository KEY=… | image | image-trial | matrix | messages | openapi | papers | screenshots [INTO=folder]"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt constraints.build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(DEBIAN) ensurepip=python3-venv
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --requirement constraints.build.txt
	$(PIP) --require-hashes --no-build-isolation --use-pep517 --requirement constraints.txt
	$(PIP) --no-deps --no-build-isolation .
	@touch $(STAMP)

# constraints.txt, constraints.build.txt and deb/requirements.txt, after pyproject.toml has changed. UPGRADE=1: of the
# newest versions.
lock: $(STAMP)
	$(BIN)/python -m deb.lock $(if $(UPGRADE),--upgrade)

demo: $(STAMP)
	@exec $(BIN)/python -m dtadmin.demo

# A bonus server of the running demo does not answer for five minutes.
demo-outage: $(STAMP)
	@$(BIN)/python -m dtadmin.demo outage

# Shop All of the running demo goes back to a copy of some minutes ago.
demo-restore: $(STAMP)
	@$(BIN)/python -m dtadmin.demo restore

# Removes the databases of the demo and all that the embedded PostgreSQL left on this machine.
forget:
	@$(PYTHON) -m dtadmin.forget

# The suite, but for the tests that are marked as long.
test: $(STAMP) test-packages
	$(SUITE) -m "not long"

test-long: $(STAMP) test-packages
	$(SUITE) -m long

# Without the packages of the second line, the tests that need them are skipped, and pytest says so.
test-packages:
	@command -v chromium >/dev/null || $(DEBIAN) chromium-headless-shell=$(CHROMIUM) $(FONTS)
	@$(DEBIAN) crontab=cron nginx=nginx-light,nginx faketime=faketime promtool=promtool curl=curl openssl=openssl || true

chaos: $(STAMP)
	@$(DEBIAN) ip=iproute2 faketime=faketime || true
	CHAOS_SECONDS=$(SECONDS) $(BIN)/python -m pytest -s tests/chaos tests/engine/test_every_statement.py \
		tests/engine/test_every_statement_of_commands.py tests/engine/test_property.py

# PARTS="transfer look": these alone. QUICK=1: tiny data, to see that it still runs.
bench: $(STAMP)
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(BEFORE),--before $(BEFORE)) $(PARTS)

# dist/dtadmin_…_amd64.deb and …_arm64.deb, for Debian 12 and 13 and Ubuntu 24.04 and 26.04.
deb: $(STAMP)
	$(BIN)/python -m deb $(FOR)

# Installed in clean systems, used, upgraded, removed, purged; as root.
deb-trial: deb
	@$(DEBIAN) mmdebstrap=mmdebstrap pgrep=procps ip=iproute2 apt-ftparchive=apt-utils gpg=gpg lintian=lintian
	for codename in $(or $(FOR),bookworm noble trixie resolute); do bash deb/trial $$codename || exit 1; done

# The lines of README.md in a clean system with a clone, as root and as a user; as root.
clone-trial:
	@$(DEBIAN) mmdebstrap=mmdebstrap
	bash deb/trial.clone

# dist/repository: what apt can install from once a web server offers it. KEY: a secret key of gpg.
repository: deb
	@$(DEBIAN) apt-ftparchive=apt-utils gpg=gpg
	bash deb/repository dist dist/repository $(KEY)

# dtadmin:VERSION, for podman or docker.
image: $(STAMP)
	$(BIN)/python -m deb trixie
	bash image/build

# Started by its compose file, used, and its checks of health seen failing; as root.
image-trial: $(STAMP)
	@$(DEBIAN) podman=podman podman-compose=podman-compose runc=runc nft=nftables curl=curl \
		/usr/lib/podman/aardvark-dns=aardvark-dns mmdebstrap=mmdebstrap
	$(BIN)/python -m deb trixie
	bash image/trial

# PARTS="postgresql-15 django-6.1": these alone. TESTS="tests/engine tests/pages": these alone.
matrix: $(STAMP)
	$(BIN)/python -m tests.matrix $(PARTS) -- $(TESTS)

lint: $(STAMP)
	@$(DEBIAN) xgettext=gettext
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djlint --check --lint --quiet templates
	$(BIN)/lint-imports
	DATABASE_URL=postgresql:///lint SHOP_ALL_DATABASE_URL=postgresql:///lint SECRET_KEY=lint $(BIN)/mypy .
	$(BIN)/python -m tests.translations
	$(BIN)/bandit --quiet --recursive -lll --skip B703 transfer dtadmin reference_bonus_server
	$(BIN)/python -m tests.vulnerabilities

# Every page of the demo as a picture, in both languages and three widths.
screenshots: $(STAMP)
	@$(DEBIAN) chromium=chromium $(FONTS)
	$(BIN)/python -m tests.screenshots $(INTO)

# docs/api/openapi.json, after the API has changed.
openapi: $(STAMP)
	DJANGO_SETTINGS_MODULE=dtadmin.settings DATABASE_URL=postgresql:///lint \
		SHOP_ALL_DATABASE_URL=postgresql:///lint SECRET_KEY=lint $(BIN)/python -m tests.http_api.openapi

# The tables in docs/ that are made from the catalogue of causes and the kinds of problems.
papers: $(STAMP)
	DJANGO_SETTINGS_MODULE=dtadmin.settings DATABASE_URL=postgresql:///lint \
		SHOP_ALL_DATABASE_URL=postgresql:///lint SECRET_KEY=lint $(BIN)/python -m tests.tables_of_papers

messages: $(STAMP)
	@$(DEBIAN) xgettext=gettext
	$(BIN)/python manage.py makemessages --locale ru --no-location --no-wrap --no-obsolete \
		--ignore .venv --ignore var --ignore build --ignore tests --ignore reference_bonus_server
	cd transfer && ../$(BIN)/python ../manage.py compilemessages
