"""Requests to the demo models that work as they stand: the examples of the OpenAPI document. A test sends each of them."""

from collections.abc import Mapping
from typing import Any

Examples = Mapping[str, Any]

_PAYMENT: Mapping[str, Any] = {
    "amount": 42.5,
    "merchant_category": "groceries",
    "country": "DE",
    "channel": "chip",
    "customer_age": None,
    "account_age_days": 900,
    "payments_last_24h": 2,
    "minutes_since_last": 310.0,
}
_TUMOUR = (
    *(17.99, 10.38, 122.8, 1001.0, 0.1184, 0.2776, 0.3001, 0.1471, 0.2419, 0.07871),
    *(1.095, 0.9053, 8.589, 153.4, 0.006399, 0.04904, 0.05373, 0.01587, 0.03003, 0.006193),
    *(25.38, 17.33, 184.6, 2019.0, 0.1622, 0.6656, 0.7119, 0.2654, 0.4601, 0.1189),
)
_DATATYPES: Mapping[type, str] = {str: "BYTES", int: "INT64", float: "FP64", type(None): "INT64"}

V1: Examples = {
    "payments": {"instances": [_PAYMENT]},
    "payments, in columns": {"inputs": {name: [value] for name, value in _PAYMENT.items()}},
    "tumours": {"instances": [_TUMOUR]},
}
V2: Examples = {
    "payments": {
        "id": "42",
        "inputs": [
            {"name": name, "shape": [1], "datatype": _DATATYPES[type(value)], "data": [value]}
            for name, value in _PAYMENT.items()
        ],
    },
    "tumours": {
        "inputs": [{"name": "measurements", "shape": [1, 30], "datatype": "FP32", "data": _TUMOUR}],
        "outputs": [{"name": "label"}],
    },
}
NATIVE: Examples = {name: {"model": name, "instances": V1[name]["instances"]} for name in ("payments", "tumours")}
FEEDBACK: Examples = {
    "payments": {"request_id": "order-1742", "row": 0, "label": 1, "observed_at": 1767603600.0},
    "tumours": [{"request_id": "scan-7", "label": 0}],
}
ROUTES: Examples = {
    "payments": {
        "models": {
            "payments": {
                "stable": "1",
                "canary": {"version": "2", "percent": 5.0},
                "key": "header:x-customer-id",
            },
            "tumours": {"stable": "1"},
        },
        "dry_run": True,
    },
}
CHANGES: Examples = {
    "payments": {"do": "canary", "version": "2", "percent": 5.0, "why": "release 42", "dry_run": True},
    "payments, shadow": {"do": "set", "shadows": [{"version": "2", "sample": 10.0}], "dry_run": True},
}
