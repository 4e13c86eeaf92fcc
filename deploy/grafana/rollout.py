"""The rollout dashboard: how much does the canary get, what is held against it, and who changed the routes?"""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.board import Row, board
from deploy.grafana.panels import (
    BAD,
    GOOD,
    HOME,
    MODEL,
    ODD,
    SMALL,
    THIRD,
    Limit,
    Line,
    Panels,
    Says,
    lines,
    number,
    rows,
    states,
    word,
)

NAME = "{{model}}:{{version}}"
ON = {"0": word("no", "transparent"), "1": word("yes", GOOD)}
ARMS = 'arm=~"stable|canary"'


def rollout() -> Dashboard:
    text = "Canaries of a home: share and evidence, both arms side by side, routes and versions."
    every = [
        Row("Share and evidence", _evidence()),
        Row("Stable and canary", _arms()),
        Row("Routes and versions", _routes()),
    ]
    return board("rollout", text, ("home", "model"), every)


def _evidence() -> list[Panels]:
    of_canary = f'sum by (model) (rate(plumbline_requests_total{{{MODEL}, arm="canary"}}[$__rate_interval]))'
    of_both = f"sum by (model) (rate(plumbline_requests_total{{{MODEL}, {ARMS}}}[$__rate_interval]))"
    permitted = f"max by (model, version) (plumbline_monitor_rollout_permitted_percent{{{MODEL}}}) / 100"
    evidence = f"max by (model, version, guard) (plumbline_monitor_rollout_evidence_ratio{{{MODEL}}})"
    return [
        lines(
            Says(
                "Share of the canary",
                "What the evidence permits, and what the canary gets of the requests.",
                "percentunit",
            ),
            [Line(permitted, NAME + " permitted"), Line(f"{of_canary} / {of_both}", "{{model}} sent")],
        ),
        lines(
            Says(
                "Evidence against the canary",
                "By guard, in logarithms, of what proves that it is worse: at 1 it is rolled back.",
                "percentunit",
                ("PlumblineRolloutRolledBack",),
            ),
            [Line(evidence, NAME + " {{guard}}")],
            (Limit(0.5, ODD), Limit(1, BAD)),
        ),
        states(
            Says(
                "What follows",
                "What the evidence says: advance, hold, rollback or done.",
                "none",
                ("PlumblineRolloutRolledBack",),
            ),
            [
                Line(
                    f"max by (model, version, outcome) (plumbline_monitor_rollout_outcome{{{MODEL}}})",
                    NAME + " {{outcome}}",
                )
            ],
            ON,
        ),
        states(
            Says(
                "How it stands",
                "Why nothing is done, or that something was; no band: the log or the routes could not be read or changed.",
                "none",
                ("PlumblineRolloutStuck",),
            ),
            [
                Line(
                    f"max by (model, version, reason) (plumbline_monitor_rollout_stands{{{MODEL}}} == 1)",
                    NAME + " {{reason}}",
                )
            ],
            ON,
        ),
    ]


def _arms() -> list[Panels]:
    def of(selector: str) -> str:
        return f"sum by (model, arm) (rate(plumbline_requests_total{{{MODEL}, {selector}}}[$__rate_interval]))"

    failed, every = of(f'{ARMS}, outcome=~"failed|shed"'), of(ARMS)
    buckets = f"rate(plumbline_request_duration_seconds_bucket{{{MODEL}, {ARMS}}}[$__rate_interval])"
    return [
        lines(
            Says("Requests by arm", "Predict requests a second.", "reqps"),
            [Line(every, "{{model}} {{arm}}")],
            width=THIRD,
        ),
        lines(
            Says("Failed and shed by arm", "Share of requests answered 5xx.", "percentunit"),
            [Line(f"({failed} or 0 * {every}) / {every}", "{{model}} {{arm}}")],
            width=THIRD,
        ),
        lines(
            Says("p99 by arm", "Arrival until the record was made, of answered requests.", "s"),
            [Line(f"histogram_quantile(0.99, sum by (le, model, arm) ({buckets}))", "{{model}} {{arm}}")],
            width=THIRD,
        ),
    ]


def _routes() -> list[Panels]:
    return [
        number(
            Says("Routes generation", "The routes document in use; each change adds one.", "none"),
            Line(f"max(plumbline_routes_generation{{{HOME}}})", "generation"),
        ),
        number(
            Says(
                "Not applied", "Routes documents or pins that were not applied.", "none", ("PlumblineRoutesNotApplied",)
            ),
            Line(f"sum(plumbline_routes_errors_total{{{HOME}}})", "not applied"),
            (Limit(1, BAD),),
        ),
        number(
            Says(
                "Versions ejected",
                "Pinned versions that ended their workers and are out until a person decides.",
                "none",
                ("PlumblineVersionEjected",),
            ),
            Line(f"max(plumbline_versions_ejected{{{HOME}}})", "ejected"),
            (Limit(1, BAD),),
        ),
        rows(
            Says(
                "Versions refused",
                "How often workers did not load a pinned version, by reason.",
                "none",
                ("PlumblineVersionRefused",),
            ),
            Line(f"sum by (home, reason) (plumbline_versions_refused_total{{{HOME}}})", "times"),
            width=3 * SMALL,
        ),
        rows(
            Says("Changes by rollouts", "Changes of the routes that the monitor made: canary, abort, promote.", "none"),
            Line(f"sum by (model, do) (plumbline_monitor_rollout_changes_total{{{MODEL}}})", "times"),
            width=THIRD,
        ),
        rows(
            Says(
                "Looks that failed",
                "Why a rollout could not be looked at or carried out.",
                "none",
                ("PlumblineRolloutStuck",),
            ),
            Line(f"sum by (model, reason) (plumbline_monitor_rollout_problems_total{{{MODEL}}})", "times"),
            width=THIRD,
        ),
        rows(
            Says("Changes asked of the admin API", "By what became of them.", "none"),
            Line(f"sum by (home, result) (plumbline_route_changes_total{{{HOME}}})", "times"),
            width=THIRD,
        ),
    ]
