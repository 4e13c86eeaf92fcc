"""A monitor that forgets nothing: the control of the soak test (`python -m tests.promises.leaking monitor …`)."""

import monitoring.wiring
from monitoring.intake import Intake
from plumbline import main
from service.featurelog.chunk import Chunk

LEAK_BYTES = 2048  # a record: at 100 requests a second 12 MiB a minute
_KEPT: list[bytearray] = []


class LeakingIntake(Intake):
    """Keeps something of every record that it read."""

    def read(self) -> tuple[Chunk, bool]:
        chunk, settled = super().read()
        _KEPT.extend(bytearray(b"\x01" * LEAK_BYTES) for run in chunk.runs for _ in run.records)
        return chunk, settled


if __name__ == "__main__":
    monitoring.wiring.Intake = LeakingIntake  # type: ignore[misc]
    main()
