"""What holds for every test: a slow machine is no fault of what is tested."""

from hypothesis import HealthCheck, settings

settings.register_profile("plumbline", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("plumbline")
