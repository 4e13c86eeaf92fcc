"""What is so right now of an incident, by the monitor's newest status: its phase, and whether the loss rose meanwhile?

Law: what the status does not say is what the event said; a monitor that has just started knows of no open incident yet.
"""

from monitoring.alert import Phase, event_id
from monitoring.dispatch.facts import LABEL_SIDE, Facts, Loss
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


def loss_now(status: Status, facts: Facts) -> Loss:
    """ROSE also where a check of the realised loss breached after the event was made."""
    rose = any(
        check.startswith(f"{LABEL_SIDE}|") and "|loss|" in check
        for one in status.versions
        if (one.model, one.digest) == (facts.model, facts.digest)
        for check in one.alert.latched
    )
    return Loss.ROSE if rose else facts.loss
