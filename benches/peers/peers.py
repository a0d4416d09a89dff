"""What others do on the same rows; each run is a process of its own, started by `run.py`.

Usage: python peers.py WORK TARGET INCOMING. Prints the seconds that the work took, without imports, and the peak
memory in bytes.
"""

import sys
import time

ID, MODIFIED = "id", "updated_at"


def delta_merge(target, incoming):
    import pyarrow.parquet as pq
    from deltalake import DeltaTable

    def work():
        (
            DeltaTable(target)
            .merge(pq.read_table(incoming), f"t.{ID} = s.{ID}", source_alias="s", target_alias="t")
            .when_matched_update_all(f"s.{MODIFIED} > t.{MODIFIED}")
            .when_not_matched_insert_all()
            .execute()
        )

    return work


def delta_open(target, incoming):
    from deltalake import DeltaTable

    return lambda: DeltaTable(target)


def lance_merge(target, incoming):
    import lance
    import pyarrow.parquet as pq

    def work():
        (
            lance.dataset(target)
            .merge_insert(ID)
            .when_matched_update_all(f"source.{MODIFIED} > target.{MODIFIED}")
            .when_not_matched_insert_all()
            .execute(pq.read_table(incoming))
        )

    return work


def polars_rewrite(target, incoming):
    import polars as pl

    def work():
        # At the level that keyfold writes: a footer says the codec, not the level.
        new = pl.scan_parquet(incoming)
        old = pl.scan_parquet(target)
        out = pl.concat([old.join(new, on=ID, how="anti"), new])
        out.sink_parquet(target + ".new", compression="zstd", compression_level=1)
        rename(target)

    return work


def duckdb_rewrite(target, incoming):
    import duckdb

    def work():
        db = duckdb.connect()
        db.execute("SET preserve_insertion_order = false")
        db.execute(
            f"COPY (SELECT * FROM '{target}' t WHERE NOT EXISTS (SELECT 1 FROM '{incoming}' s WHERE s.{ID} = t.{ID}) "
            f"UNION ALL SELECT * FROM '{incoming}') TO '{target}.new' (FORMAT parquet, COMPRESSION zstd)"
        )
        rename(target)

    return work


def rename(target):
    import os

    os.replace(target + ".new", target)


if __name__ == "__main__":
    name, target, incoming = sys.argv[1:]
    work = globals()[name](target, incoming)
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    with open("/proc/self/status") as lines:
        peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    print(seconds, peak)
