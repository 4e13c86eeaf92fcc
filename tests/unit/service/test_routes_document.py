import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lock import NAME
from service.errors import RoutesInvalid
from service.routes_document import SHADOWS_MAX, CanaryEntry, ModelRoutes, Routes, ShadowEntry
from service.routing import SALT_BYTES_MAX, Canary, Shadow

NAMES = st.from_regex(NAME, fullmatch=True)
PERCENTS = st.floats(0, 100)
KEYS = st.none() | st.sampled_from(("header:X-Customer", "feature:city"))


@st.composite
def entries(draw: st.DrawFn) -> ModelRoutes:
    stable, canary = draw(st.lists(NAMES, min_size=2, max_size=2, unique=True))
    return ModelRoutes(
        stable=stable,
        key=draw(KEYS),
        salt=draw(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=SALT_BYTES_MAX)),
        canary=draw(st.none() | st.builds(CanaryEntry, st.just(canary), PERCENTS)),
        shadows=draw(st.lists(st.builds(ShadowEntry, NAMES, PERCENTS), max_size=SHADOWS_MAX).map(tuple)),
    )


DOCUMENTS = st.builds(Routes, st.integers(0, 10**6), st.dictionaries(NAMES, entries(), max_size=3))


@given(DOCUMENTS)
def test_what_a_document_writes_it_reads_back_and_writes_again(routes: Routes) -> None:
    assert Routes.decode(routes.encode()) == routes
    assert Routes.decode(routes.encode()).encode() == routes.encode()


@given(DOCUMENTS, NAMES, entries())
def test_a_change_is_the_next_generation_and_touches_one_model(routes: Routes, model: str, entry: ModelRoutes) -> None:
    after = routes.with_model(model, entry)
    assert after.generation == routes.generation + 1
    assert {**after.models, model: None} == {**routes.models, model: None}
    assert after.policies()[model].generation == after.generation


def document(text: str) -> str:
    return f'generation = 3\n[models.m]\nstable = "1"\n{text}'


def test_percentages_become_basis_points_and_keys_become_what_they_name() -> None:
    text = document(
        'key = "header:X-Customer"\nsalt = "pepper"\ncanary = { version = "2", percent = 0.5 }\n'
        'shadows = [{ version = "3" }, { version = "4", sample = 12.34 }]'
    )
    policy = Routes.decode(text).policies()["m"]
    assert policy.canary == Canary("2", 50)
    assert policy.shadows == (Shadow("3", 10_000), Shadow("4", 1234))
    assert (policy.key_header, policy.key_feature, policy.salt) == (b"x-customer", None, b"pepper")
    feature = Routes.decode(document('key = "feature:City"')).policies()["m"]
    assert (feature.key_header, feature.key_feature, feature.salt) == (None, "City", b"m")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("generation = ", "routes.toml"),
        ('generation = "3"', "routes.toml"),
        ("generatoin = 3", "routes.toml"),
        ("[models.m]", "routes.toml"),
        ("a = " + "[" * 5000, "routes.toml"),
        (document("stabel = '2'"), "routes.toml"),
        (document("canary = { version = '2' }"), "routes.toml"),
        (document("canary = { version = '1', percent = 5 }"), "m.canary"),
        (document("canary = { version = '2', percent = -0.1 }"), "m.canary.percent"),
        (document("canary = { version = '2', percent = 100.1 }"), "m.canary.percent"),
        (document("canary = { version = '2', percent = nan }"), "m.canary.percent"),
        (document("canary = { version = '2', percent = inf }"), "m.canary.percent"),
        (document("shadows = [{ version = '2', sample = 101 }]"), "m.shadows.sample"),
        (document("shadows = [" + "{ version = '2' }," * (SHADOWS_MAX + 1) + "]"), "m.shadows"),
        (document("key = 'cookie:a'"), "m.key"),
        (document("key = 'header:'"), "m.key"),
        (document("key = ''"), "m.key"),
        (document(f"salt = '{'x' * (SALT_BYTES_MAX + 1)}'"), "m.salt"),
    ],
    ids=lambda value: value[-40:],
)
def test_a_document_that_cannot_be_read_whole_is_not_read_at_all(text: str, where: str) -> None:
    with pytest.raises(RoutesInvalid) as refused:
        Routes.decode(text)
    assert refused.value.where == where
    assert "the routes stay as they were" in str(refused.value)


def test_an_empty_document_is_generation_zero() -> None:
    assert Routes.decode("") == Routes(0, {})


def test_a_change_that_is_wrong_is_refused_before_it_is_written() -> None:
    with pytest.raises(RoutesInvalid):
        Routes().with_model("m", ModelRoutes(stable="1", canary=CanaryEntry("1", 5)))
