"""What holds for every test: a slow machine is no fault of what is tested."""

import os

from hypothesis import HealthCheck, settings

from tests.processes import TRIALS

settings.register_profile("plumbline", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
# `make check`, before each commit: a look at every property; the whole of it is for `make test`
settings.register_profile("check", settings.get_profile("plumbline"), max_examples=10)
settings.load_profile("plumbline")
os.environ["PLUMBLINE_TRIALS_DIR"] = str(TRIALS)  # what runs in this process; tests/processes.py says it to others
