import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.demo.seasons import DAY_S, HOUR_S, WEEK_S, arrivals, rate, weekend
from models.demo.simulator import (
    CATEGORICAL,
    CHANNELS,
    COUNTRIES,
    FEATURES,
    LABEL_DELAY_S_MAX,
    LABEL_DELAY_S_MIN,
    MERCHANTS,
    NUMERIC,
    Payments,
    join,
    payments,
    rows,
)
from models.demo.tumours import rows as tumour_rows
from models.demo.tumours import sample, tumours

MONDAY_S = 1_780_272_000
WORDS = {"merchant_category": set(MERCHANTS), "country": set(COUNTRIES), "channel": set(CHANNELS)}


def week(seed: int = 7, rows_per_minute: float = 10.0) -> Payments:
    rng = np.random.default_rng(seed)
    return payments(rng, arrivals(rng, MONDAY_S, MONDAY_S + WEEK_S, rows_per_minute))


WEEK = week()
HOUR = (WEEK.at_s % DAY_S) // HOUR_S


def same(a: Payments, b: Payments) -> bool:
    return all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(columns(a), columns(b), strict=True))


def columns(batch: Payments) -> list[np.ndarray]:
    return [batch.at_s, *batch.features().values(), batch.fraud, batch.label_delay_s]


def test_the_same_seed_and_times_give_the_same_payments_and_another_seed_others() -> None:
    assert same(WEEK, week())
    assert not same(WEEK, week(seed=8))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 200), st.floats(0, 4e9))
def test_rows_are_json_ready_whatever_the_time(seed: int, n: int, start_s: float) -> None:
    batch = payments(np.random.default_rng(seed), start_s + np.arange(n) * 60.0)
    made = rows(batch)
    assert len(made) == len(batch) == n
    for row in made:
        assert tuple(row) == FEATURES
        assert type(row["amount"]) is float and row["amount"] > 0
        assert type(row["account_age_days"]) is int and row["account_age_days"] >= 0
        assert type(row["payments_last_24h"]) is int and row["payments_last_24h"] >= 0
        assert row["customer_age"] is None or (type(row["customer_age"]) is int and 18 <= row["customer_age"] < 90)
        assert row["minutes_since_last"] is None or row["minutes_since_last"] >= 0  # type: ignore[operator]
        assert all(row[name] in WORDS[name] for name in CATEGORICAL)


def test_every_merchant_country_and_channel_is_seen_in_a_week() -> None:
    assert {name: set(WEEK.features()[name].tolist()) for name in CATEGORICAL} == WORDS


def test_about_six_percent_of_the_ages_are_null_and_no_other_number_but_the_time_since_the_last() -> None:
    shares = {name: float(np.isnan(WEEK.features()[name].astype(float)).mean()) for name in NUMERIC}
    assert shares.pop("customer_age") == pytest.approx(0.06, abs=0.005)
    assert shares.pop("minutes_since_last") == pytest.approx(0.02, abs=0.005)
    assert set(shares.values()) == {0.0}


def test_the_fraud_rate_is_rare_and_follows_the_rule() -> None:
    assert 0.015 < WEEK.fraud.mean() < 0.03
    online = WEEK.channel == "online"
    assert WEEK.fraud[online].mean() > 2 * WEEK.fraud[~online].mean()
    assert WEEK.fraud[WEEK.payments_last_24h > 4].mean() > 2 * WEEK.fraud[WEEK.payments_last_24h == 0].mean()


def test_the_label_becomes_known_hours_to_days_later() -> None:
    assert WEEK.label_delay_s.min() >= LABEL_DELAY_S_MIN
    assert WEEK.label_delay_s.max() <= LABEL_DELAY_S_MAX
    assert np.median(WEEK.label_delay_s) == pytest.approx(36 * HOUR_S, rel=0.05)


def test_hour_and_weekday_move_the_rate_the_mix_the_amounts_and_the_fraud() -> None:
    night, afternoon, late = HOUR == 3, HOUR == 15, HOUR == 21
    assert afternoon.sum() > 4 * night.sum()
    assert (WEEK.channel[late] == "online").mean() > 1.3 * (WEEK.channel[HOUR == 9] == "online").mean()
    assert np.log(WEEK.amount[late]).mean() > np.log(WEEK.amount[HOUR == 9]).mean() + 0.05
    assert WEEK.fraud[late].mean() > 1.5 * WEEK.fraud[HOUR == 9].mean()
    free = weekend(WEEK.at_s) > 0
    assert free.sum() / 2 < 0.95 * (~free).sum() / 5


def test_no_hour_is_a_feature() -> None:
    assert not {"hour", "weekday", "at_s"} & set(FEATURES)


def test_the_rate_has_a_mean_of_one_over_any_week_and_repeats() -> None:
    minutes = MONDAY_S + np.arange(0.0, WEEK_S, 60)
    assert rate(minutes).mean() == pytest.approx(1.0, abs=0.001)
    assert rate(minutes).max() < 2.0
    assert rate(minutes).min() > 0.0
    assert np.allclose(rate(minutes), rate(minutes + WEEK_S))
    assert len(WEEK) == pytest.approx(10 * WEEK_S / 60, rel=0.02)


def test_the_epoch_began_on_a_thursday() -> None:
    assert weekend(np.arange(0.0, 7 * DAY_S, DAY_S)).tolist() == [0, 0, 1, 1, 0, 0, 0]


def test_joined_batches_stand_one_after_the_other() -> None:
    both = join([WEEK, WEEK])
    assert len(both) == 2 * len(WEEK)
    assert np.array_equal(both.amount[len(WEEK) :], WEEK.amount)


def test_tumours_are_all_rows_that_scikit_learn_has() -> None:
    from sklearn.datasets import load_breast_cancer

    known, theirs = tumours(), load_breast_cancer()
    assert list(known.features) == theirs.feature_names.tolist()
    assert np.array_equal(known.cells, theirs.data)
    assert np.array_equal(known.benign, theirs.target == 1)


def test_a_sample_of_tumours_is_made_of_known_rows() -> None:
    known = tumours()
    drawn = tumour_rows(sample(np.random.default_rng(1), known, 50))
    assert drawn == tumour_rows(sample(np.random.default_rng(1), known, 50))
    assert len(drawn) == 50
    assert all(row in tumour_rows(known) for row in drawn)


def test_traffic_needs_neither_pandas_nor_scikit_learn_nor_a_runtime() -> None:
    code = "import sys, models.demo.incidents, models.demo.tumours; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'numpy'" in loaded
    assert not any(f"'{name}'" in loaded for name in ("pandas", "sklearn", "skl2onnx", "onnx", "onnxruntime"))
