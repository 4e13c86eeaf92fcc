"""What must a key open for each route? A table by verb, asked only where keys are.

`read` opens what is told of the service; `predict` of a model opens what a client must know of that model to ask it. What is
the same for every service of this release, or says no more than that it is alive, needs no key.
"""

from collections.abc import Mapping
from enum import StrEnum

from models.keys import Holder
from service.http.paths import Target, Verb


class Need(StrEnum):
    """Who may ask."""

    NOTHING = "no key"
    PREDICT = "predict of the model"
    ABOUT = "read, or predict of the model"
    READ = "read"
    ADMIN = "admin"


NEEDS: Mapping[Verb, Need] = {
    Verb.V1_PREDICT: Need.PREDICT,
    Verb.V2_INFER: Need.PREDICT,
    Verb.NATIVE_PREDICT: Need.PREDICT,
    Verb.FEEDBACK: Need.PREDICT,
    Verb.V1_STATUS: Need.ABOUT,
    Verb.V2_MODEL: Need.ABOUT,
    Verb.V2_MODEL_READY: Need.ABOUT,
    Verb.V2_CONFIG: Need.ABOUT,
    Verb.V2_STATS: Need.READ,
    Verb.V2_INDEX: Need.READ,
    Verb.METRICS: Need.READ,
    Verb.ADMIN_ROUTES: Need.READ,
    Verb.ADMIN_VERSIONS: Need.READ,
    Verb.ADMIN_ROUTES_HISTORY: Need.READ,
    Verb.ADMIN_ROUTES_REPLACE: Need.ADMIN,
    Verb.ADMIN_ROUTES_CHANGE: Need.ADMIN,
    Verb.LIVEZ: Need.NOTHING,
    Verb.READYZ: Need.NOTHING,
    Verb.V2_LIVE: Need.NOTHING,
    Verb.V2_READY: Need.NOTHING,
    Verb.V2_SERVER: Need.NOTHING,
    Verb.ROOT: Need.NOTHING,
    Verb.OPENAPI: Need.NOTHING,
    Verb.DOCS: Need.NOTHING,
    Verb.NATIVE_SCHEMA: Need.NOTHING,
    Verb.UNKNOWN: Need.NOTHING,
}


def lacking(holder: Holder, target: Target) -> str:
    """The scope that this key lacks for this target; "" where it lacks none. A body that names the model is looked at later."""
    match NEEDS[target.verb]:
        case Need.NOTHING:
            return ""
        case Need.PREDICT if not target.model:
            return "" if holder.models is None or holder.models else "predict"
        case Need.PREDICT:
            return "" if holder.predicts(target.model) else f"predict:{target.model}"
        case Need.ABOUT:
            return "" if holder.read or holder.predicts(target.model) else f"read or predict:{target.model}"
        case Need.READ:
            return "" if holder.read else "read"
        case Need.ADMIN:
            return "" if holder.admin else "admin"
