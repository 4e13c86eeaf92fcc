"""What is so right now of an incident, by the monitor's newest status: its phase, and whether the loss rose?

Law: a status is at least as new as any event that is offered (loop.py), so what it does not know is not known.
"""

from monitoring.alert import Phase, event_id
from monitoring.dispatch.facts import Facts
from monitoring.labels.rise import Rise
from monitoring.status import Status
from monitoring.window import MINUTE_S

OPEN = (Phase.FIRING, Phase.COOLING)


def phases_of(status: Status) -> dict[str, str]:
    """The phase of every alert that has an incident, by the id of its event."""
    return {
        event_id(one.model, one.digest, one.alert.incident_s // MINUTE_S): one.alert.phase.value
        for one in status.versions
        if one.alert.incident_s is not None and one.alert.phase in OPEN
    }


def rise_now(status: Status, facts: Facts) -> Rise:
    """Of the incident's version, as its labels and scores say."""
    known = (one.rise for one in status.labels.versions if (one.model, one.digest) == (facts.model, facts.digest))
    return next(known, Rise.UNKNOWN)
