"""The rows that all contestants get: ten million orders by default, and what comes in later.

Eight columns: an id (int64, ascending), three texts of which one is an md5, two floats, two timestamps.
"""

import hashlib

import numpy as np
import pyarrow as pa

FIRST = np.datetime64("2020-01-01T00:00:00", "us")
LATER = np.datetime64("2026-01-01T00:00:00", "us")
STATUS = np.array(["new", "paid", "packed", "shipped", "returned"])


def orders(ids, changed):
    """Rows of `ids`; `changed` ones are of a later time, and differ."""
    ids = np.asarray(ids, dtype=np.int64)
    salt = b"b" if changed else b"a"
    random = np.random.default_rng([len(ids), int(ids[0]) if len(ids) else 0, int(changed)])
    text = pa.array([f"customer {n}" for n in random.integers(0, 200_000, len(ids))])
    return pa.table(
        {
            "id": ids,
            "customer": text,
            "status": pa.array(STATUS[random.integers(0, len(STATUS), len(ids))]),
            "note": pa.array([hashlib.md5(salt + n.tobytes()).hexdigest() for n in ids]),
            "price": random.uniform(1, 1_000, len(ids)).round(2),
            "weight": random.normal(5, 2, len(ids)),
            "created_at": FIRST + ids.astype("timedelta64[s]"),
            "updated_at": (LATER if changed else FIRST) + ids.astype("timedelta64[s]"),
        }
    )


def stored(count, step=500_000):
    """The stored rows, part by part, so that memory does not limit their number."""
    for start in range(0, count, step):
        yield orders(np.arange(start, min(start + step, count)), changed=False)


def incoming(kind, count, share=0.01, turn=0):
    """Rows that come in: `share` of the stored ones, half of them new; how the others lie is `kind`."""
    if kind == "one":
        return orders([count // 2 + turn], changed=True)
    half = max(int(count * share / 2), 1)
    new = count + turn * half + np.arange(half)
    if kind == "scattered":
        known = np.linspace(turn, count - 1, half).astype(np.int64)
    else:
        start = count - count // 20
        known = np.linspace(start + turn % 7, count - 1, half).astype(np.int64)
    return orders(np.concatenate([np.unique(known), new]), changed=True)
