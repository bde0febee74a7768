# make demo      the shipped digits network, built for an Arty A7 and run on the virtual board
# make test      the tests, but those that take minutes
# make test-all  all tests
# make figures   the figures that the pages quote, as far as they are missing or out of date; the
#                data sets are looked for in $SPIKELOOM_DATA. In the background: make figures &
# make docs      the site of the pages in docs, in build/docs
# make notebook  the tutorial as a notebook for Jupyter, build/tutorial.ipynb
# make clean     removes what was built, and the environment

PYTHON ?= python3
VENV   := .venv
STAMP  := $(VENV)/installed
PYTEST := $(VENV)/bin/python -m pytest -n auto --dist loadfile -q

# Exactly this release, because pip then takes a CPU build where one is offered.
TORCH  := torch==2.13.0

comma  := ,

.PHONY: demo test test-all figures docs notebook clean
.DELETE_ON_ERROR:

demo: $(STAMP)
	$(VENV)/bin/python -m gen demo

test: $(STAMP)
	$(PYTEST) -m "not slow"

test-all: $(STAMP)
	$(PYTEST)

figures: $(STAMP)
	$(VENV)/bin/python -m bench

docs: $(STAMP)
	$(VENV)/bin/python -m sphinx -W --keep-going -b html -d build/doctrees docs build/docs

notebook: $(STAMP)
	mkdir -p build
	$(VENV)/bin/jupytext --from md:myst --to ipynb --output build/tutorial.ipynb docs/tutorial.md

clean:
	rm -rf build $(VENV)

# Stops with one line if a command fails: $(call need,COMMAND,WHAT IT LOOKS FOR,PACKAGE)
need = $(if $(shell $(1) >/dev/null 2>&1 && echo found),,$(error \
    $(2) is missing: install it, on Debian and Ubuntu with: apt install $(3)))

$(STAMP): pyproject.toml
	$(call need,$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3$(comma)11))",Python 3.11 or \
	    later ($(PYTHON)),python3)
	$(call need,$(PYTHON) -c "import venv$(comma)ensurepip",Python's venv module,python3-venv)
	$(call need,command -v g++,g++,g++)
	$(call need,command -v make,make,make)
	$(call need,command -v perl,perl,perl)
	test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check \
	    $(TORCH) --editable ".[gen,explore,host,toolchain,test,docs]"
	# These compile themselves on first use.
	for tool in yosys nextpnr-ecp5 ecppack nextpnr-ice40 icepack nextpnr-himbaechel-gowin; do \
	    $(VENV)/bin/yowasp-$$tool --help >/dev/null 2>&1; done
	touch $@
