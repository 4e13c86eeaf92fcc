"""What is wrong with rows: bodies that cannot be read, and rows that do not meet the contract."""

import msgspec

from service.http.values import BESIDE, PER_ROW, PER_TENSOR
from tests.bad_inputs.limits import ROWS_MAX
from tests.bad_inputs.row import (
    EMPTY,
    GOOD,
    PAYMENT,
    TUMOUR,
    V1,
    V1_TUMOURS,
    Bad,
    Body,
    columns,
    invalid,
    malformed,
    payment,
    text,
)

_V1 = 'a JSON object {"instances": [...]}, or {"inputs": ...} in columns'
_INT64 = "an integer from -9223372036854775808 to 9223372036854775807"
_FEATURES = (
    "amount, customer_age, account_age_days, payments_last_24h, minutes_since_last, merchant_category, country, channel"
)
VALUES = 150_000  # above the size from which they are counted
VALUES_MAX = ROWS_MAX * (len(PAYMENT) + PER_ROW) + PER_TENSOR * len(PAYMENT) + BESIDE
_COLUMNS = "an object of columns by the name of a feature or a tensor"

UNREADABLE = (
    malformed("no body", V1, EMPTY, f"found nothing, expected {_V1}"),
    malformed("JSON that ends too early", V1, text('{"instances": ['), f"ends too early, expected {_V1}"),
    malformed(
        "more after the JSON", V1, text('{"instances": []} x'), f"found more after its end, at byte 19, expected {_V1}"
    ),
    malformed(
        "not UTF-8",
        V1,
        text(b'{"instances": ["\xff"]}', '{"instances": ["0xff"]}'),
        f"found text that is not UTF-8, expected {_V1}",
    ),
    malformed(
        "`NaN`, `Infinity`",
        V1,
        text('{"instances": [{"amount": NaN}]}'),
        "found NaN at byte 26, which is not JSON, expected a number or null",
    ),
    malformed(
        "a number that no float holds",
        V1,
        text('{"instances": [{"amount": 1e999}]}'),
        "found a number out of range, expected one that 64 bits hold",
        "/instances/0",
    ),
    malformed(
        "nested 5 000 deep",
        V1,
        text('{"instances": ' + "[" * 5000 + "]" * 5000 + "}", '{"instances": [[[…]]]}'),
        f"nested too deeply, expected {_V1}",
    ),
    malformed("another JSON value", V1, text("[1]"), f"found a list, expected {_V1}"),
    malformed("neither rows nor columns", V1, text("{}"), f"found neither instances nor inputs, expected {_V1}"),
    malformed(
        "both rows and columns",
        V1,
        text('{"instances": [], "inputs": {}}'),
        f"found both instances and inputs, expected {_V1}",
    ),
    malformed("no list of rows", V1, text('{"instances": 5}'), "found an integer, expected a list", "/instances"),
    Bad(
        "a name twice: the last counts",
        V1,
        text('{"instances": [1], ' + GOOD.sent.decode()[1:], '{"instances": [1], "instances": [{…}]}'),
        200,
        "",
    ),
)
ROWS = (
    invalid("no rows", V1, text('{"instances": []}'), "/instances", "no rows, expected at least one"),
    invalid("no row", V1, text('{"instances": [5]}'), "/instances/0", "found an integer, expected an object or a list"),
    invalid(
        "null for a row", V1, text('{"instances": [null]}'), "/instances/0", "found null, expected an object or a list"
    ),
    invalid(
        "a string for a number", V1, payment(amount="42"), "/instances/0/amount", "found a string, expected a number"
    ),
    invalid(
        "a boolean for a number", V1, payment(amount=True), "/instances/0/amount", "found a boolean, expected a number"
    ),
    invalid("a list for a number", V1, payment(amount=[1]), "/instances/0/amount", "found a list, expected a number"),
    invalid(
        "a number for a string", V1, payment(country=5), "/instances/0/country", "found an integer, expected a string"
    ),
    invalid(
        "a fraction for an integer",
        V1,
        payment(account_age_days=1.5),
        "/instances/0/account_age_days",
        "found a number, expected an integer",
    ),
    invalid(
        "an integer beyond 64 bits",
        V1,
        payment(account_age_days=1e19),
        "/instances/0/account_age_days",
        f"found an integer out of range, expected {_INT64}",
    ),
    invalid(
        "null where none may be",
        V1,
        payment(amount=None),
        "/instances/0/amount",
        "null, expected a number (not nullable)",
    ),
    invalid("a feature missing", V1, payment(amount=...), "/instances/0/amount", "missing, expected a number"),
    invalid(
        "a feature unknown",
        V1,
        payment(colour="red"),
        "/instances/0/colour",
        f"unknown feature, expected {_FEATURES}",
    ),
    invalid(
        "too few values",
        V1,
        text('{"instances": [[1, 2]]}'),
        "/instances/0",
        "2 values, expected 8 in the contract's order",
    ),
    invalid(
        "rows of different lengths",
        V1_TUMOURS,
        Body(msgspec.json.encode({"instances": [TUMOUR, TUMOUR[:29]]}), '{"instances": [[30 values], [29 values]]}'),
        "/instances/1",
        "29 values, expected 30 in the contract's order",
    ),
    Bad(
        "several things wrong",
        V1,
        payment(amount=None, country=1),
        400,
        "invalid_input",
        "/instances/0/amount: null, expected a number (not nullable) (and 1 more); payments:1 predicted nothing",
        (
            ("/instances/0/amount", "null, expected a number (not nullable)"),
            ("/instances/0/country", "found an integer, expected a string"),
        ),
    ),
    invalid("no columns", V1, text('{"inputs": 5}'), "/inputs", f"found an integer, expected {_COLUMNS}"),
    invalid("a column missing", V1, columns(amount=...), "/inputs/amount", "missing, expected a number"),
    invalid("no column", V1, columns(amount=1), "/inputs/amount", "found an integer, expected a list of values"),
    invalid(
        "columns of different lengths",
        V1,
        columns(amount=[1, 2]),
        "/inputs",
        "ragged: [1, 2] rows, expected one number",
    ),
    Bad(
        "more values than `max_rows` rows can have",
        V1,
        text(b'{"instances": [' + b",".join([b"1"] * VALUES) + b"]}", f"{VALUES} numbers"),
        413,
        "too_many_values",
        f"body: {VALUES + 2} values, expected at most {VALUES_MAX}; split it",
    ),
    Bad(
        "more rows than `max_rows`",
        V1_TUMOURS,
        Body(msgspec.json.encode({"instances": [TUMOUR] * (ROWS_MAX + 1)}), f"{ROWS_MAX + 1} rows"),
        413,
        "too_many_rows",
        f"request: {ROWS_MAX + 1} rows, expected at most {ROWS_MAX}; split it",
    ),
)
