"""Load on the service: locust scenarios, the speed comparison with peers, the detection comparison with peers."""
