"""The log dashboard: is every request on record, has the monitor read it, and is it archived?"""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.board import Row, board
from deploy.grafana.panels import BAD, HOME, ODD, THIRD, Limit, Line, Panels, Says, lines, number, rows


def log() -> Dashboard:
    text = "The feature log of a home: the ledger, the disk, the monitor that reads it, the archive."
    every = [
        Row("Ledger", _ledger()),
        Row("Disk", _disk()),
        Row("Monitor", _monitor()),
        Row("Archive", _archive()),
        Row("Callers", _callers()),
    ]
    return board("log", text, ("home",), every)


def _total(metric: str, more: str = "") -> str:
    return f"sum by (home) (plumbline_{metric}_total{{{HOME}{more}}})"


def _ledger() -> list[Panels]:
    answered = _total("requests", ', outcome="answered"')
    logged, dropped = (_total(metric, ', outcome="answered"') for metric in ("log_records", "log_dropped"))
    rate = f"sum by (outcome) (rate(plumbline_requests_total{{{HOME}}}[$__rate_interval]))"
    received = f"sum(rate(plumbline_requests_received_total{{{HOME}}}[$__rate_interval]))"
    return [
        lines(
            Says(
                "Received and what became of it", "received = answered + rejected + shed + failed, a second.", "reqps"
            ),
            [Line(rate, "{{outcome}}"), Line(received, "received")],
        ),
        number(
            Says("Received, less all outcomes", "0: each request has exactly one outcome.", "none"),
            Line(f"sum({_total('requests_received')} - {_total('requests')})", "difference"),
            (Limit(1, BAD),),
        ),
        number(
            Says(
                "Answered, less logged and dropped", "0: each answer has its record, or is counted as dropped.", "none"
            ),
            Line(f"sum({answered} - {logged} - ({dropped} or 0 * {answered}))", "difference"),
            (Limit(1, BAD),),
        ),
        number(
            Says("Records lost", "That the monitor found missing in the log.", "none", ("PlumblineLogRecordsLost",)),
            Line(f"sum(plumbline_monitor_lost_records_total{{{HOME}}})", "lost"),
            (Limit(1, BAD),),
        ),
        rows(
            Says(
                "Not written",
                "Records that could not be written, by the outcome of their request and the reason.",
                "none",
                ("PlumblineLogRecordsDropped",),
            ),
            Line(f"sum by (home, outcome, reason) (plumbline_log_dropped_total{{{HOME}}})", "records"),
            (Limit(1, BAD),),
            width=THIRD,
        ),
        rows(
            Says("Missing", "Records, by the reason for which they are missing.", "none", ("PlumblineLogRecordsLost",)),
            Line(f"sum by (home, reason) (plumbline_monitor_lost_records_total{{{HOME}}})", "records"),
            (Limit(1, BAD),),
            width=THIRD,
        ),
        lines(
            Says("Records", "Records written a second, by the outcome of their request.", "wps"),
            [Line(f"sum by (outcome) (rate(plumbline_log_records_total{{{HOME}}}[$__rate_interval]))", "{{outcome}}")],
            width=THIRD,
        ),
    ]


def _disk() -> list[Panels]:
    return [
        lines(
            Says(
                "Space held back",
                "For a full disk, by service and monitor; 0: it is used up.",
                "bytes",
                ("PlumblineDiskFull",),
            ),
            [
                Line(f"sum by (home) (plumbline_log_reserve_bytes{{{HOME}}})", "{{home}} service"),
                Line(f"sum by (home) (plumbline_monitor_reserve_bytes{{{HOME}}})", "{{home}} monitor"),
            ],
        ),
        lines(
            Says(
                "Not fsynced",
                "Times that the disk refused an fsync, and records whose callers were told so (log_durability disk).",
                "none",
                ("PlumblineLogNotSynced",),
            ),
            [
                Line(f"sum by (home) (plumbline_log_fsync_failures_total{{{HOME}}})", "{{home}} refused"),
                Line(f"sum by (home) (plumbline_log_unsynced_total{{{HOME}}})", "{{home}} records"),
            ],
            (Limit(1, BAD),),
        ),
    ]


def _monitor() -> list[Panels]:
    return [
        lines(
            Says(
                "Behind",
                "How long ago the newest minute is that the monitor has read.",
                "s",
                ("PlumblineMonitorBehind", "PlumblineMonitorDown"),
            ),
            [Line(f"time() - (plumbline_monitor_watermark_timestamp_seconds{{{HOME}}} > 0)", "{{home}}")],
            (Limit(60, ODD), Limit(300, BAD)),
            width=THIRD,
        ),
        lines(
            Says(
                "Still to read", "Bytes of the log that the monitor has not read.", "bytes", ("PlumblineMonitorBehind",)
            ),
            [Line(f"sum by (home) (plumbline_monitor_log_lag_bytes{{{HOME}}})", "{{home}}")],
            width=THIRD,
        ),
        lines(
            Says(
                "Ticks",
                "Rounds of the monitor's loop a second, and those that failed and went back to the checkpoint.",
                "ops",
                ("PlumblineMonitorStalled",),
            ),
            [
                Line(
                    f"sum by (home) (rate(plumbline_monitor_ticks_total{{{HOME}}}[$__rate_interval]))", "{{home}} all"
                ),
                Line(
                    f"sum by (home) (rate(plumbline_monitor_tick_errors_total{{{HOME}}}[$__rate_interval]))",
                    "{{home}} failed",
                ),
            ],
            width=THIRD,
        ),
        *_counted(),
    ]


def _counted() -> list[Panels]:
    return [
        lines(
            Says(
                "What became of records",
                "Records a second by what the monitor did with them; refused: no room for their version.",
                "ops",
                ("PlumblineMonitorUnwatched",),
            ),
            [
                Line(
                    f"sum by (home, what) (rate(plumbline_monitor_log_total{{{HOME}}}[$__rate_interval]))",
                    "{{home}} {{what}}",
                )
            ],
            width=THIRD,
        ),
        lines(
            Says(
                "Size of the counts",
                "Bytes that the monitor's counts can grow to.",
                "bytes",
                ("PlumblineMonitorUnwatched",),
            ),
            [Line(f"sum by (home) (plumbline_monitor_state_bytes{{{HOME}}})", "{{home}}")],
            width=THIRD,
        ),
        lines(
            Says("Labels", "Labels a second that the service took, and what became of them in the monitor.", "ops"),
            [
                Line(f"sum(rate(plumbline_feedback_total{{{HOME}}}[$__rate_interval]))", "received"),
                Line(f"sum by (what) (rate(plumbline_monitor_labels_total{{{HOME}}}[$__rate_interval]))", "{{what}}"),
            ],
            width=THIRD,
        ),
    ]


def _archive() -> list[Panels]:
    return [
        lines(
            Says("Waiting", "Bytes of sealed segments that are not archived.", "bytes", ("PlumblineArchiveStuck",)),
            [Line(f"sum by (home) (plumbline_monitor_archive_waiting_bytes{{{HOME}}})", "{{home}}")],
            width=THIRD,
        ),
        lines(
            Says(
                "Oldest that waits",
                "How long the oldest of them has waited; absent: none waits.",
                "s",
                ("PlumblineArchiveStuck",),
            ),
            [Line(f"time() - plumbline_monitor_archive_oldest_waiting_timestamp_seconds{{{HOME}}}", "{{home}}")],
            (Limit(3600, BAD),),
            width=THIRD,
        ),
        lines(
            Says("Rows archived", "Rows a second that became Parquet.", "rowsps"),
            [
                Line(
                    f"sum by (home) (rate(plumbline_monitor_archived_rows_total{{{HOME}}}[$__rate_interval]))",
                    "{{home}}",
                )
            ],
            width=THIRD,
        ),
        lines(
            Says("What the last pass took", "Seconds of the newest pass of the archive.", "s"),
            [Line(f"max by (home) (plumbline_monitor_archive_pass_seconds{{{HOME}}})", "{{home}}")],
            width=THIRD,
        ),
        lines(
            Says("Damaged files", "Files that are not what the manifest says.", "none", ("PlumblineArchiveDamaged",)),
            [Line(f"sum by (home) (plumbline_monitor_archive_damaged_files{{{HOME}}})", "{{home}}")],
            (Limit(1, BAD),),
            width=THIRD,
        ),
        rows(
            Says(
                "Passes that failed", "By reason; what was committed before stays.", "none", ("PlumblineArchiveStuck",)
            ),
            Line(f"sum by (home, reason) (plumbline_monitor_archive_failures_total{{{HOME}}})", "passes"),
            width=THIRD,
        ),
    ]


def _callers() -> list[Panels]:
    return [
        rows(
            Says("Connections ended", "Connections refused or given up, by reason (docs/reference.md).", "none"),
            Line(f"sum by (home, reason) (plumbline_connections_ended_total{{{HOME}}})", "connections"),
        ),
        rows(
            Says("Keys refused", "Requests that their API key did not let in, by reason (docs/keys.md).", "none"),
            Line(f"sum by (home, reason) (plumbline_keys_refused_total{{{HOME}}})", "requests"),
        ),
    ]
