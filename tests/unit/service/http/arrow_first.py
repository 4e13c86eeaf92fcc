"""A process whose first work is two Arrow requests, `arrow_first.py HOME`; it fails where they made it import pandas."""

import sys
from pathlib import Path

from service.http.arrow import Arrow
from tests.unit.service.serving import served


def main(home: Path) -> None:
    """Prints what the bodies were decoded to."""
    wire = Arrow(max_rows=10, max_bytes=10_000)
    for name in ("mixed", "floats"):
        version = served(home, name)
        decoded = wire.decode(version, (home / f"{name}.stream").read_bytes())
        wire.encode(version, version.session.run(version.tensors(decoded.inputs)), decoded, "id")
        print(type(decoded.inputs).__name__)
    assert "pandas" not in sys.modules, "found pandas, expected that nothing imports it"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
