import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.baseline import SPECIALS, ColumnBaseline
from models.contract import Kind
from monitoring.judge import Window, alphas, look
from monitoring.reference import Extra, Reference
from monitoring.rules import Rules
from monitoring.screen import screen
from monitoring.skew import SkewRule
from monitoring.tier import Scale
from tests.unit.monitoring.made import model

RULES = Rules(
    drift_windows_s=(3600, 7200), budget_alarms_per_30_days=1e4
)  # a mild level: what may breach lies close to what does

SKEW = SkewRule(RULES.n_min, RULES.confidence, RULES.skew_tolerance, RULES.collapse_ratio)


def reference(rng: np.random.Generator) -> Reference:
    """Numbers and texts of few and of many, of common and of rare bins."""
    columns = []
    for j in range(6):
        bins = int(rng.integers(2, 40))
        shares = rng.dirichlet(np.full(bins, rng.choice([0.1, 1.0, 30.0])))
        counts = (
            *rng.multinomial(20, [1 / SPECIALS] * SPECIALS),
            *rng.multinomial(int(rng.choice([60, 600, 9000])), shares),
        )
        if j % 2:
            texts = tuple(f"v{i:03}" for i in range(bins))
            columns.append(
                ColumnBaseline(name=f"c{j}", kind=Kind.STRING, categories=texts, counts=tuple(map(int, counts)))
            )
        else:
            edges = tuple(float(i) for i in range(bins - 1))
            columns.append(ColumnBaseline(name=f"c{j}", kind=Kind.FLOAT, edges=edges, counts=tuple(map(int, counts))))
    return Reference.laid_out(columns[:4], columns[4:])


def windows(base: Reference, rng: np.random.Generator, strength: float) -> list[Window]:
    """Rows like training's, moved by some strength, with some skew."""
    found = []
    for scale in RULES.scales.values():
        parts, n = [], int(rng.choice([0, 30, 150, 2000]))
        for j in range(len(base.columns)):
            known = base.bins(base.baseline, j) / base.bins(base.baseline, j).sum()
            other = rng.dirichlet(np.ones(known.size))
            parts.append(rng.multinomial(n, (1 - strength) * known + strength * other))
        extra = np.zeros(len(Extra), dtype=np.int64)
        extra[Extra.ROWS_ANSWERED], extra[Extra.UNKNOWN] = n, rng.integers(0, 1 + n // 20)
        found.append(Window(scale, 3600, np.concatenate([*parts, extra]).astype(np.int64)))
    return found


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.03, 0.1, 0.2, 0.5]))
def test_no_window_that_is_passed_over_holds_a_check_that_would_breach(seed: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    base = reference(rng)
    made = windows(base, rng, strength)
    levels = np.array([alphas(RULES, base, 1, window).drift for window in made])
    counts = np.array([window.counts for window in made])
    found = screen(base, counts, levels, SKEW)
    for one, suspect in zip(look(base, made, RULES, model="m", versions=1), found.suspect, strict=True):
        assert suspect or not list(one.raised())


def test_unchanged_rows_are_passed_over() -> None:
    made, rng, rules = model(floats=19), np.random.default_rng(5), Rules()
    base, suspects, looks = made.reference, 0, 400
    for _ in range(looks):
        parts = [
            rng.multinomial(800, (known := base.bins(base.baseline, j)) / known.sum()) for j in range(len(base.columns))
        ]
        extra = np.zeros(len(Extra), dtype=np.int64)
        extra[Extra.ROWS_ANSWERED] = 800
        level = alphas(rules, base, 1, Window(Scale.of(60), 60, extra)).drift
        found = screen(base, np.concatenate([*parts, extra])[None, :], np.array([level]), SKEW)
        assert found.measured.all()
        suspects += int(found.suspect.sum())
    assert suspects <= looks // 50
