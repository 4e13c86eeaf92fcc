"""All rows of the fault table, in the order in which they are printed."""

from tests.promises.faults import archiver, borders, clocks, damage, disk_errors, erasure, kills, power, retention
from tests.promises.faults.row import Row

ROWS: tuple[Row, ...] = (
    *borders.ROWS,
    *disk_errors.ROWS,
    *power.ROWS,
    *damage.ROWS,
    *clocks.ROWS,
    *kills.ROWS,
    *archiver.ROWS,
    *retention.ROWS,
    *erasure.ROWS,
)
