"""Grafana's dashboards, written as code: `python -m deploy.grafana` makes the JSON beside it."""
