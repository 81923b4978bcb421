PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SECONDS ?= 600

.PHONY: help install demo test lint chaos bench deb deb-trial matrix messages screenshots

help:
	@echo "make demo | test | lint | install | chaos [SECONDS=600] | bench [QUICK=1] | deb [FOR=trixie] | deb-trial [FOR=trixie] | matrix | messages | screenshots [INTO=folder]"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || bash .ci/debian python3-venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed \
		--constraint constraints.txt ".[demo,test,lint]"
	@touch $(STAMP)

demo: $(STAMP)
	@exec $(BIN)/python -m dtadmin.demo

test: $(STAMP)
	@command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || \
		bash .ci/debian chromium-headless-shell fonts-dejavu-core || bash .ci/debian chromium fonts-dejavu-core
	@command -v crontab >/dev/null || bash .ci/debian cron
	$(BIN)/python -m pytest -n $$(($$(nproc) * 2)) --dist loadfile --no-loadscope-reorder

chaos: $(STAMP)
	CHAOS_SECONDS=$(SECONDS) $(BIN)/python -m pytest -s tests/chaos tests/engine/test_every_statement.py \
		tests/engine/test_every_statement_of_commands.py

# PARTS="transfer look": these alone. QUICK=1: tiny data, to see that it still runs.
bench: $(VENV)/.bench
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(PARTS)

# Django would take psycopg 3, a peer, for its driver if it saw it: it lies beside.
$(VENV)/.bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed \
		--constraint constraints.txt ".[bench]"
	$(BIN)/python -m pip install --quiet --upgrade --target $(VENV)/peers \
		--constraint constraints.txt "psycopg[binary]"
	@touch $@

# dist/dtadmin_…_amd64.deb, for Debian 12 and 13 and Ubuntu 24.04.
deb: $(VENV)/.deb
	$(BIN)/python -m deb $(FOR)

# Installed in clean systems, used, upgraded, removed, purged; as root.
deb-trial: deb
	@command -v mmdebstrap >/dev/null || bash .ci/debian mmdebstrap
	for codename in $(or $(FOR),bookworm noble trixie); do bash deb/trial $$codename || exit 1; done

# PARTS="postgresql-15 django-6.1": these alone. TESTS="tests/engine tests/pages": these alone.
matrix: deb
	$(BIN)/python -m tests.matrix $(PARTS) -- $(TESTS)

$(VENV)/.deb: $(STAMP)
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed \
		--constraint constraints.txt ".[deb]"
	@touch $@

lint: $(STAMP)
	@command -v xgettext >/dev/null || bash .ci/debian gettext
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djlint --check --lint --quiet templates
	$(BIN)/lint-imports
	DATABASE_URL=postgresql:///lint SHOP_ALL_DATABASE_URL=postgresql:///lint SECRET_KEY=lint $(BIN)/mypy .
	$(BIN)/python -m tests.translations
	$(BIN)/bandit --quiet --recursive -lll --skip B703 transfer dtadmin bonusserver
	$(BIN)/python -m tests.vulnerabilities

# Every page of the demo as a picture, in both languages and three widths.
screenshots: $(STAMP)
	@test -x /usr/bin/chromium || bash .ci/debian chromium fonts-dejavu-core
	$(BIN)/python -m tests.screenshots $(INTO)

messages: $(STAMP)
	@command -v xgettext >/dev/null || bash .ci/debian gettext
	$(BIN)/python manage.py makemessages --locale ru --no-location --no-wrap --no-obsolete \
		--ignore .venv --ignore var --ignore build --ignore tests --ignore bonusserver
	cd transfer && ../$(BIN)/python ../manage.py compilemessages
