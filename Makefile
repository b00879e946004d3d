# Everything a contributor does, each from a fresh clone: the first target that needs it makes .venv.

BIN := .venv/bin
READY := .venv/ready
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
STRATEGY := strategies/touch_maker.py

.PHONY: demo test check campaign campaign-kill scenarios bench-simulate bench-kernel bench-live bench-operate picture clean

# Replay the recording, trade on it on paper (100 minutes of market in 10 seconds, leaving the orders as they
# stand), then look at what the kernel remembers.
demo: $(READY)
	rm -f .quant/demo.*
	$(BIN)/quant simulate --from recordings --strategy $(STRATEGY) --plot
	@mkdir -p .quant
	QUANT__ON__STOP=leave $(BIN)/quant trade --paper --from recordings --strategy $(STRATEGY) \
		--name demo --speed 600 --for 10s > .quant/demo.jsonl
	$(BIN)/quant orders --name demo
	$(BIN)/quant positions --name demo
	$(BIN)/quant reconcile --check --name demo

test: $(READY)
	$(BIN)/pytest -n 2 --dist loadfile

# Form, types, layers, house rules.
check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest tests/test_house.py

bench-simulate: $(READY)
	$(BIN)/python bench/simulate.py

bench-kernel: $(READY)
	$(BIN)/python bench/kernel.py

bench-live: $(READY)
	$(BIN)/python bench/live.py

# What operating costs: starting a verb, a bot at rest, the screen, the kill switch.
bench-operate: $(READY)
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/daemon_rest.py
	$(BIN)/python bench/tui.py
	$(BIN)/python bench/kill_switch.py

# The README's picture, from the demo.
picture: $(READY)
	$(BIN)/quant demo --svg docs/orders.svg

# The kernel against everything that can go wrong, a million lifecycles by default; writes docs/campaign.md.
campaign: $(READY)
	$(BIN)/python -m tests.world.campaign --runs $(or $(RUNS),1000000) --seed $(or $(SEED),0)

# The installed bot against a loopback Binance: killed KILLS times (a thousand by default; writes docs/kills.md) ...
campaign-kill: $(READY)
	$(BIN)/python -m tests.live.campaign_kill --kills $(or $(KILLS),1000) --seed $(or $(SEED),0)

# ... and under the order-path faults that others were measured under; writes docs/scenarios.md.
scenarios: $(READY)
	$(BIN)/python -m tests.live.scenarios_page

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
