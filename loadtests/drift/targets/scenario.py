"""How does a target read a scenario and say what it found? The only thing that all targets share; it needs numpy alone.

A scenario is an .npz: `meta` (JSON), `reference` (m, k) with `reference_at_s` (m,), `rows` (n, k) with `at_s` (n,) and
`rejected` (n,), and `borders`: stream i is rows[borders[i]:borders[i+1]], and streams know nothing of each other. A cell
is a float64; NaN is null; of a text it is the place in the column's categories, -1 for a text that is not among them.

A target prints a line of JSON an alarm: {"stream", "row", "minute", "what", "new", "wide", "look"}: how many rows of the
stream had been seen, the minute of the last of them since the stream's first, what was alarming, whether the look before
was quiet, whether it was half of the columns or more, and the number of the look in its stream, from 1 (0: not said). Its
last line is
{"looks", "alarmed", "rows", "streams", "seconds", "peak_mib"}: seconds in the system's own calls.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np


@dataclass
class Scenario:
    """`rows_max`: streams are left out from the first one that would go beyond it; a single stream is cut there."""

    path: str
    rows_max: int = sys.maxsize
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with np.load(self.path) as held:
            arrays = {name: held[name] for name in held.files}
        self.meta = json.loads(str(arrays["meta"]))
        self.columns = self.meta["columns"]
        self.reference, self.reference_at_s = arrays["reference"], arrays["reference_at_s"]
        self.rows, self.at_s, self.rejected = arrays["rows"], arrays["at_s"], arrays["rejected"]
        self.borders = arrays["borders"].tolist()

    @property
    def chunk_rows(self) -> int:
        return int(self.meta["chunk_rows"])

    def streams(self) -> Iterator[tuple[int, slice]]:
        """Number and rows of every stream that fits."""
        left = self.rows_max
        for number, start in enumerate(self.borders[:-1]):
            end = self.borders[number + 1]
            if end - start > left and number > 0:
                return
            yield number, slice(start, min(end, start + left))
            left -= end - start

    def chunks(self, stream: slice) -> Iterator[tuple[int, slice]]:
        """Whole chunks: how many rows of the stream were seen at the end of each, and which they are."""
        for start in range(stream.start, stream.stop - self.chunk_rows + 1, self.chunk_rows):
            end = start + self.chunk_rows
            yield end - stream.start, slice(start, end)

    def standardised(self, cells: np.ndarray, place: int) -> np.ndarray:
        """Cells of one column in standard deviations from the mean of its reference, which need not vary."""
        reference = self.reference[:, place]
        return (cells - np.nanmean(reference)) / (np.nanstd(reference) or 1.0)

    def frame(self, cells: np.ndarray, pandas: Any) -> Any:
        """A table as a person would hand it over: text as text, null as NaN or None."""
        found = {}
        for place, column in enumerate(self.columns):
            values = cells[:, place]
            if column["kind"] != "string":
                found[column["name"]] = values
                continue
            texts = np.array([*column["categories"], "gift_cards", None], dtype=object)
            codes = np.where(np.isnan(values), len(texts) - 1, np.where(values < 0, len(texts) - 2, values))
            found[column["name"]] = texts[codes.astype(int)]
        return pandas.DataFrame(found)


class Report:
    """Prints alarms as they come, and the last line."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._looks = self._alarmed = self._rows = self._streams = 0
        self._seconds = 0.0
        self._last: tuple[int, int, bool] = (-1, 0, False)

    def own(self, call: Any, *words: Any) -> Any:
        """Calls the system; these are the seconds that count."""
        began = process_time()
        result = call(*words)
        self._seconds += process_time() - began
        return result

    def look(self, number: int, stream: slice, seen: int, what: str, *, wide: bool = False) -> None:
        """A look at the stream after `seen` rows; `what` is empty where it was quiet."""
        last, look, alarming = self._last
        if last != number:
            look, alarming = 0, False
        self._last = (number, look + 1, bool(what))
        self.looked(1, int(bool(what)))
        if what:
            self.alarm(number, stream, seen, what, new=not alarming, wide=wide, look=look + 1)

    def rows(self, number: int, stream: slice, alarming: Mapping[int, str]) -> None:
        """A look at every row of the stream; `alarming`: what was, by how many rows had been seen."""
        for seen, what in sorted(alarming.items()):
            self.alarm(number, stream, seen, what, new=seen - 1 not in alarming, look=seen)
        self.looked(stream.stop - stream.start, len(alarming))

    def looked(self, looks: int, alarmed: int) -> None:
        self._looks, self._alarmed = self._looks + looks, self._alarmed + alarmed

    def alarm(
        self, number: int, stream: slice, seen: int, what: str, *, new: bool = True, wide: bool = False, look: int = 0
    ) -> None:
        at_s = self._scenario.at_s
        minute = (float(at_s[stream.start + max(0, seen - 1)]) - float(at_s[stream.start])) / 60
        told = {"stream": number, "row": seen, "minute": minute, "what": what, "new": new, "wide": wide, "look": look}
        print(json.dumps(told), flush=True)

    def over(self, stream: slice) -> None:
        """A stream was read to its end."""
        self._rows, self._streams = self._rows + stream.stop - stream.start, self._streams + 1

    def end(self) -> None:
        status = Path("/proc/self/status").read_text()
        peak = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
        last = {"looks": self._looks, "alarmed": self._alarmed, "rows": self._rows, "streams": self._streams}
        print(json.dumps({**last, "seconds": self._seconds, "peak_mib": peak}), flush=True)


def given() -> tuple[Scenario, str]:
    """The scenario and the variant that the command line names: SCENARIO VARIANT ROWS_MAX."""
    path, variant, rows_max = sys.argv[1:4]
    return Scenario(path, int(rows_max)), variant
