"""Delta tables that keyfold writes, read by others, and the other way round.

Usage: python delta.py KEYFOLD FOLDER, with deltalake, polars and pyarrow installed. Fails with the first difference.
"""

import collections
import datetime as dt
import decimal
import json
import os
import subprocess
import sys
import threading

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import DeltaError

KEYFOLD, FOLDER = sys.argv[1:3]
ROWS = 1_000
COLUMNS = ["id", "p", "d", "ts", "naive", "dec", "f", "s", "b", "l", "st"]


def keyfold(*arguments):
    done = subprocess.run([KEYFOLD, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def rows(ids, version):
    """Rows with every kind of column, of which some change with the version."""
    ids = list(ids)
    start = dt.datetime(2020, 1, 1)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "p": [["x", "y z", "é/=%"][i % 3] for i in ids],
            "d": [dt.date(2020, 1, 1) + dt.timedelta(days=i % 7) for i in ids],
            "ts": pa.array([start + dt.timedelta(microseconds=i * 1001) for i in ids], pa.timestamp("us", "UTC")),
            "naive": pa.array([start + dt.timedelta(seconds=i) for i in ids], pa.timestamp("us")),
            "dec": pa.array([decimal.Decimal(i) / 100 for i in ids], pa.decimal128(10, 2)),
            "f": [float(i) * version for i in ids],
            "s": [None if i % 5 == 0 else f"name {i} of version {version}, which is quite long" for i in ids],
            "b": [bytes([i % 256]) for i in ids],
            "l": pa.array([[i, None] for i in ids], pa.list_(pa.int32())),
            "st": [{"a": i, "b": str(i)} for i in ids],
        }
    )


def by_id(table):
    return sorted(table.select(COLUMNS).to_pylist(), key=lambda row: row["id"])


def latest(*tables):
    found = {row["id"]: row for table in tables for row in table.to_pylist()}
    return [found[key] for key in sorted(found)]


def check(name, expected):
    table = DeltaTable(name)
    assert by_id(table.to_pyarrow_table()) == expected, f"{name}: read by deltalake"
    polars = pl.scan_delta(name)
    assert by_id(polars.collect().to_arrow()) == by_id(pa.Table.from_pylist(expected)), f"{name}: read by Polars"
    for row in (expected[0], expected[-1]):
        one = table.to_pyarrow_dataset().to_table(filter=pc.field("id") == row["id"])
        assert one.num_rows == 1, f"{name}: pruned by deltalake"
        assert polars.filter(pl.col("id") == row["id"]).collect().height == 1, f"{name}: pruned by Polars"
    assert int(keyfold("count", name)) == len(expected), f"{name}: counted"
    return table


def written_by_keyfold():
    first, changes = rows(range(ROWS), 1), rows(range(ROWS - 100, ROWS + 100), 2)
    pq.write_table(first, "first.parquet")
    pq.write_table(changes, "changes.parquet")
    for partitions in ("", "p", "d,p", "dec", "ts", "naive"):
        name = f"keyfold-{partitions.replace(',', '-') or 'flat'}"
        flags = ["--partition-by", partitions] if partitions else []
        small = first.slice(0, 30) if partitions in ("dec", "ts", "naive") else first
        pq.write_table(small, "small.parquet")
        keyfold("write", "small.parquet", name, *flags)
        keyfold("upsert", "changes.parquet", name, "--id", "id")
        table = check(name, latest(small, changes))
        metrics = table.history(1)[0]["operationMetrics"]
        assert int(metrics["numTargetRowsInserted"]) + int(metrics["numTargetRowsUpdated"]) == 200, metrics


def written_by_deltalake():
    changes = rows(range(ROWS - 100, ROWS + 100), 2)
    pq.write_table(changes, "changes.parquet")
    for partitions in ([], ["p"], ["d", "p"]):
        name = f"deltalake-{'-'.join(partitions) or 'flat'}"
        pieces = [rows(range(start, start + 100), 1) for start in range(0, ROWS, 100)]
        for piece in pieces:
            write_deltalake(name, piece, mode="append", partition_by=partitions or None)
        DeltaTable(name).create_checkpoint()
        report = json.loads(keyfold("upsert", "changes.parquet", name, "--id", "id", "--output", "json"))
        assert (report["updated"], report["inserted"]) == (100, 100), report
        assert report["files_skipped"] > report["files_read"], report
        table = check(name, latest(*pieces, changes))
        # A compaction and a vacuum of theirs leave what an upsert of ours finds.
        table.optimize.compact()
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
        again = json.loads(keyfold("upsert", "changes.parquet", name, "--id", "id", "--output", "json"))
        assert (again["unchanged"], again["files_added"]) == (200, 0), again
        check(name, latest(*pieces, changes))


def written_as_spark_does():
    """Timestamps as INT96, and a column that an older file lacks."""
    os.makedirs("spark/_delta_log")
    table = rows(range(10), 1).select(["id", "ts"])
    pq.write_table(table, "spark/a.parquet", use_deprecated_int96_timestamps=True)
    kinds = {"id": "long", "ts": "timestamp", "later": "string"}
    fields = [{"name": n, "type": t, "nullable": True, "metadata": {}} for n, t in kinds.items()]
    metadata = {
        "id": "x",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": [],
        "configuration": {},
        "createdTime": 1,
    }
    add = {
        "path": "a.parquet",
        "partitionValues": {},
        "size": os.path.getsize("spark/a.parquet"),
        "modificationTime": 1,
        "dataChange": True,
    }
    lines = [{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, {"metaData": metadata}, {"add": add}]
    with open("spark/_delta_log/00000000000000000000.json", "w") as log:
        log.write("\n".join(map(json.dumps, lines)))
    changes = pa.table({"id": [3, 50], "later": ["three", "fifty"]})
    pq.write_table(changes, "later.parquet")
    report = json.loads(keyfold("upsert", "later.parquet", "spark", "--id", "id", "--output", "json"))
    assert (report["updated"], report["inserted"]) == (1, 1), report
    found = {row["id"]: row for row in DeltaTable("spark").to_pyarrow_table().to_pylist()}
    assert found[3] == {**table.to_pylist()[3], "later": "three"}, found[3]
    assert found[50] == {"id": 50, "ts": None, "later": "fifty"}, found[50]


def with_deletion_vectors():
    """Rows that an upsert has marked do not come back, whoever reads; theirs are added to, and honoured."""
    first, changes = rows(range(ROWS), 1), rows(range(ROWS - 100, ROWS + 100), 2)
    later = rows(range(ROWS - 150, ROWS - 50), 3)
    for partitions in ("", "d", "d,p"):
        name = f"vectors-{partitions.replace(',', '-') or 'flat'}"
        flags = ["--partition-by", partitions] if partitions else []
        pq.write_table(first, "first.parquet")
        keyfold("write", "first.parquet", name, "--deletion-vectors", *flags)
        stored = {file for file in DeltaTable(name).file_uris()}
        for batch in (changes, later):
            pq.write_table(batch, "batch.parquet")
            report = json.loads(keyfold("upsert", "batch.parquet", name, "--id", "id", "--output", "json"))
            assert report["deletion_vectors"] > 0, report
            assert stored <= set(DeltaTable(name).file_uris()), "data files stay as they are"
        # Polars (2.1) does not honour the vectors of files whose paths are escaped in the log, as those of p are.
        by_polars = "p" not in partitions
        check_vectors(name, latest(first, changes, later), by_polars)
        DeltaTable(name).create_checkpoint()
        check_vectors(name, latest(first, changes, later), by_polars)
        report = json.loads(keyfold("optimize", name, "--output", "json"))
        assert report["files_removed"] > report["files_added"], report
        check_vectors(name, latest(first, changes, later), True)


def theirs_with_deletion_vectors():
    """A table that deltalake makes with the property."""
    first, changes = rows(range(ROWS), 1), rows(range(ROWS - 100, ROWS + 100), 2)
    write_deltalake("theirs", first, configuration={"delta.enableDeletionVectors": "true"})
    pq.write_table(changes, "changes.parquet")
    report = json.loads(keyfold("upsert", "changes.parquet", "theirs", "--id", "id", "--output", "json"))
    assert (report["updated"], report["deletion_vectors"], report["files_added"]) == (100, 1, 1), report
    check_vectors("theirs", latest(first, changes), True)


def check_vectors(name, expected, by_polars):
    """As check, by those readers of deltalake and Polars that know deletion vectors."""
    table = DeltaTable(name)
    query = QueryBuilder().register("t", table).execute("select * from t")
    assert by_id(pa.table(query.read_all())) == expected, f"{name}: read by deltalake"
    assert int(keyfold("count", name)) == len(expected), f"{name}: counted"
    if not by_polars:
        return
    polars = pl.scan_delta(name)
    assert by_id(polars.collect().to_arrow()) == by_id(pa.Table.from_pylist(expected)), f"{name}: read by Polars"
    for row in (expected[0], expected[-1], expected[-120]):
        assert polars.filter(pl.col("id") == row["id"]).collect().height == 1, f"{name}: pruned by Polars"


def kept_in_shape():
    """What keyfold puts together, deletes and brings back, others read."""
    for partitions in ("", "d,p"):
        name = f"shape-{partitions.replace(',', '-') or 'flat'}"
        flags = ["--partition-by", partitions] if partitions else []
        pieces = [rows(range(start, start + 50), 1) for start in range(0, 300, 50)]
        for piece in pieces:
            pq.write_table(piece, "piece.parquet")
            keyfold("write", "piece.parquet", name, "--mode", "append", *flags)
        sorted_along = json.loads(
            keyfold("optimize", name, "--z-order", "ts,s,f", "--target-size", "4KiB", "--output", "json")
        )
        assert sorted_along["files_removed"] == sorted_along["files_before"], sorted_along
        table = check(name, latest(*pieces))
        assert len(table.file_uris()) == sorted_along["files_added"], sorted_along
        assert table.history(1)[0]["operationParameters"]["zOrderBy"] == '["ts","s","f"]'
        before = len(DeltaTable(name).file_uris())
        report = json.loads(keyfold("optimize", name, "--output", "json"))
        table = check(name, latest(*pieces))
        assert len(table.file_uris()) == before - report["files_removed"] + report["files_added"] < before, report
        assert table.history(1)[0]["operation"] == "OPTIMIZE"
        assert table.optimize.compact()["numFilesRemoved"] == 0
        deleted = json.loads(
            keyfold("vacuum", name, "--retention", "0s", "--allow-early", "--delete", "--output", "json")
        )
        assert len(deleted["files"]) == sorted_along["files_removed"] + report["files_removed"], deleted
        check(name, latest(*pieces))
        theirs = table.vacuum(retention_hours=0, enforce_retention_duration=False, full=True)
        assert not any(os.path.exists(os.path.join(name, file)) for file in theirs), theirs
        table.delete("id < 100")
        keyfold("restore", name, "--version", str(table.version() - 1))
        check(name, latest(*pieces))


def beside_others():
    """Upserts of ours while deltalake compacts the table and appends to it without looking."""
    stored, appended, upserted = rows(range(200), 1), [], []
    write_deltalake("beside", stored)
    stop, counts = threading.Event(), collections.Counter()

    def compact():
        while not stop.is_set():
            try:
                removed = DeltaTable("beside").optimize.compact()["numFilesRemoved"]
                counts["compactions"] += removed > 0
            except DeltaError:
                counts["lost"] += 1

    def append():
        for start in range(10_000, 10_200, 10):
            appended.append(rows(range(start, start + 10), 1))
            write_deltalake("beside", appended[-1], mode="append")

    threads = [threading.Thread(target=work) for work in (compact, append)]
    for thread in threads:
        thread.start()
    for version in range(2, 14):
        upserted.append(rows(range(150, 190 + 10 * version), version))
        pq.write_table(upserted[-1], "upserted.parquet")
        report = json.loads(keyfold("upsert", "upserted.parquet", "beside", "--id", "id", "--output", "json"))
        counts["conflicts"] += report["conflicts"]
    threads[1].join()
    stop.set()
    threads[0].join()
    assert counts["compactions"] > 0, counts
    check("beside", latest(stored, *upserted, *appended))
    print(f"delta: beside others, {dict(counts)}", flush=True)


os.chdir(FOLDER)
kept_in_shape()
with_deletion_vectors()
theirs_with_deletion_vectors()
beside_others()
written_by_keyfold()
written_by_deltalake()
written_as_spark_does()
print("delta: equal rows for all readers", flush=True)
# Threads of the libraries may still run, and abort a normal end.
os._exit(0)
