"""Ray Serve: one deployment, one replica, the request read as in its documentation's first example; all of Ray on the core.

Its documentation's high-throughput guide names RAY_SERVE_THROUGHPUT_OPTIMIZED, which is on. RAY_SERVE_ENABLE_HA_PROXY is not:
it binds every interface of the machine, and this bench stays on the loopback.
"""

from loadtests.bench.systems import ONNX, Form, System, Way
from loadtests.bench.wires import named, predictions

RAY_SERVE = System(
    name="ray serve",
    note="one replica behind its proxy, throughput-optimised, whole stack on the core",
    requirements=("ray[serve]==2.60.0", *ONNX),
    argv=("{python}", "{targets}/ray_row.py", "{port}", "{home}"),
    ways={Form.NAMED: Way("/predict", named("instances"), predictions)},
    ready="/-/healthz",
    environment={"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_USAGE_STATS_ENABLED": "0"},
    start_s=15.0,
)
