"""What does the service answer to what is wrong? The table that a test sends and that docs/reference.md shows.

Every row is one request to a service with both demo models and the settings of `limits.py`, and the whole answer: status, code,
sentence, details. A row with status 200 is there because one might think otherwise.
"""

from collections.abc import Mapping, Sequence

from tests.bad_inputs.admin import CHANGES
from tests.bad_inputs.edge import HEADERS, OTHERS, ROUTES
from tests.bad_inputs.row import Bad
from tests.bad_inputs.v1 import ROWS, UNREADABLE
from tests.bad_inputs.v2 import TENSORS

TABLES: Mapping[str, Sequence[Bad]] = {
    "Bodies that cannot be read": UNREADABLE,
    "Rows, by V1": ROWS,
    "Tensors, by V2": TENSORS,
    "Headers, codings, sizes": HEADERS,
    "Routes": ROUTES,
    "Changes of the routes": CHANGES,
    "BentoML's route, feedback": OTHERS,
}
