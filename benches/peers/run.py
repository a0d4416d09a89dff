"""keyfold beside others who fold rows into tables: the same rows, one process for each run, in turns.

Prints a table of medians and ratios as Markdown. `benches/peers/run` makes what it needs and starts it.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import pyarrow as pa
import pyarrow.parquet as pq

import rows

HERE = os.path.dirname(os.path.abspath(__file__))
GIB = 1 << 30
WORKS = ["scattered", "newest", "one"]
BACKENDS = ["polars", "datafusion"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="keyfold in a release build")
    parser.add_argument("--rows", type=int, default=10_000_000, help="stored rows (default: ten million)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant, of which the median counts")
    parser.add_argument("--folder", help="where to work; default: a folder for temporary files, removed at the end")
    parser.add_argument("--only", default="", help="parts, by commas: file, delta, vectors, large, repeat, plan")
    return parser.parse_args()


class Run:
    """What one process did: seconds, the bytes it read and wrote by calls, what it printed.

    Of memory it tells itself: what the system counts for a child begins with its parent.
    """

    def __init__(self, command):
        start = time.perf_counter()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = subprocess.Popen(command, stdout=out, stderr=err)
            # It is looked at when it has ended, but before the system forgets it.
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            self.seconds = time.perf_counter() - start
            with open(f"/proc/{child.pid}/io") as lines:
                io = dict(line.split(": ") for line in lines)
            child.wait()
            out.seek(0)
            err.seek(0)
            self.out = out.read().decode()
            if child.returncode != 0:
                sys.exit(f"{' '.join(command)}\nfailed: {err.read().decode()[-2000:]}")
        self.peak = 0
        self.read, self.written = int(io["rchar"]), int(io["wchar"])
        self.report = {}


def keyfold(program, target, incoming, *more):
    run = Run([program, "upsert", incoming, target, "--id", "id", "--modified", "updated_at", "--output", "json", *more])
    run.report = json.loads(run.out)
    run.peak = run.report["peak_memory_bytes"]
    return run


def peer(work, target, incoming):
    run = Run([sys.executable, os.path.join(HERE, "peers.py"), work, target, incoming])
    # Without the interpreter and the imports, in favour of others.
    run.seconds, run.peak = float(run.out.split()[0]), int(run.out.split()[1])
    return run


def size(path):
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(path) for name in names)


def copy(source, target):
    if os.path.isdir(target):
        shutil.rmtree(target)
    elif os.path.exists(target):
        os.remove(target)
    (shutil.copytree if os.path.isdir(source) else shutil.copyfile)(source, target)


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.results = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def incoming(self, kind, count=None, share=0.01, turn=0):
        count = count or self.options.rows
        path = self.path(f"in-{kind}-{count}-{share}-{turn}.parquet")
        if not os.path.exists(path):
            pq.write_table(rows.incoming(kind, count, share, turn), path)
        return path

    # What is stored at first: one file of Polars' row groups, a Delta table of 16 files by Python's deltalake, the same with
    # deletion vectors switched on, and Lance's own format.

    def file(self, count=None):
        count = count or self.options.rows
        path = self.path(f"base-{count}.parquet")
        if not os.path.exists(path):
            with pq.ParquetWriter(path + ".part", schema(), compression="zstd", compression_level=3) as writer:
                for part in rows.stored(count):
                    writer.write_table(part, row_group_size=262_144)
            os.replace(path + ".part", path)
        return path

    def delta(self, vectors=False):
        from deltalake import write_deltalake

        path = self.path("base-vectors" if vectors else "base-delta")
        if not os.path.exists(path):
            count = self.options.rows
            settings = {"delta.enableDeletionVectors": "true"} if vectors else {}
            parts = rows.stored(count, -(-count // 16))
            first = next(parts)
            # Python's deltalake 1.6 makes tables with vectors, and does not write vectors itself.
            write_deltalake(path, first, configuration=settings)
            for part in parts:
                write_deltalake(path, part, mode="append")
        return path

    def lance(self):
        import lance

        path = self.path("base.lance")
        if not os.path.exists(path):
            for part in rows.stored(self.options.rows, -(-self.options.rows // 16)):
                lance.write_dataset(part, path, mode="append" if os.path.exists(path) else "create")
        return path

    def compare(self, title, works, contestants):
        """Runs all contestants in turns on fresh copies. A contestant is its name, what is stored, and a function."""
        for work in works:
            incoming = self.incoming(work)
            runs = {name: [] for name, _, _ in contestants}
            for turn in range(self.options.rounds + 1):
                for name, base, run in contestants:
                    target = self.path("target" + os.path.splitext(base)[1])
                    copy(base, target)
                    done = run(target, incoming)
                    # The first round warms the page cache and checks the answer.
                    if turn == 0:
                        self.check(name, target, incoming)
                    else:
                        runs[name].append(done)
            self.show(title, work, runs)

    def check(self, name, target, incoming):
        import polars as pl

        new = pl.scan_parquet(incoming)
        if target.endswith(".parquet"):
            stored = pl.scan_parquet(target)
        elif target.endswith(".lance"):
            import lance

            stored = lance.dataset(target).scanner(columns=["id", "updated_at"]).to_table()
            stored = pl.from_arrow(stored).lazy()
        else:
            stored = pl.scan_delta(target)
        later = rows.LATER.astype("O")
        got = stored.select(
            rows=pl.len(), changed=(pl.col("updated_at").dt.replace_time_zone(None) >= later).sum()
        ).collect(engine="streaming")
        known = new.filter(pl.col("id") < self.options.rows).select(pl.len()).collect().item()
        total = new.select(pl.len()).collect().item()
        expected = (self.options.rows + total - known, total)
        if got.row(0) != expected:
            sys.exit(f"{name}: {got.row(0)} rows and changed rows instead of {expected}")

    def show(self, title, work, runs):
        print(f"\n### {title}: {work}\n")
        print("| | time | of the first | peak memory | read | written | row groups read / rewritten |")
        print("|---|---|---|---|---|---|---|")
        first = None
        for name, done in runs.items():
            seconds = median(run.seconds for run in done)
            first = first or seconds
            peak = median(run.peak for run in done)
            report = done[-1].report
            groups = f"{report['row_groups_read']} / {report['row_groups_rewritten']}" if report else ""
            read, written = median(run.read for run in done), median(run.written for run in done)
            print(
                f"| {name} | {seconds:.2f} s | {seconds / first:.2f} | {mib(peak)} | {mib(read)} | {mib(written)} | {groups} |",
                flush=True,
            )

    def run(self):
        program = self.options.program
        only = set(filter(None, self.options.only.split(",")))
        ours = lambda backend: lambda target, incoming: keyfold(program, target, incoming, "--backend", backend)
        named = lambda base: [(f"keyfold, {backend}", base, ours(backend)) for backend in BACKENDS]
        other = lambda work: lambda target, incoming: peer(work, target, incoming)
        if not only or "file" in only:
            base = self.file()
            print(f"\nOne Parquet file: {self.options.rows:,} rows × 8 columns, {mib(size(base))}")
            others = [
                ("Polars, streaming rewrite", base, other("polars_rewrite")),
                ("DuckDB, rewrite", base, other("duckdb_rewrite")),
            ]
            self.compare("One Parquet file", WORKS, others + named(base))
        if not only or "delta" in only:
            base = self.delta()
            print(f"\nDelta table of 16 files, {mib(size(base))}")
            others = [("deltalake, merge", base, other("delta_merge"))]
            self.compare("Delta table", WORKS, others + named(base))
        if not only or "vectors" in only:
            base, lance = self.delta(vectors=True), self.lance()
            print(f"\nDelta table of 16 files with deletion vectors, {mib(size(base))}; Lance, {mib(size(lance))}")
            others = [("Lance, merge_insert", lance, other("lance_merge"))]
            self.compare("Deletion vectors", WORKS, others + named(base))
        if not only or "large" in only:
            self.large()
        if not only or "repeat" in only:
            self.repeat()
        if not only or "plan" in only:
            self.plan()

    def large(self):
        """Memory: four times the rows with the same incoming ones, and a fifth of all rows at once."""
        count = self.options.rows
        print("\n### Memory\n\n| what | time | peak memory |\n|---|---|---|")
        few, many = self.incoming("scattered"), self.incoming("scattered", share=0.2)
        for title, base, incoming in [
            (f"{count:,} rows, 1% comes in", self.file(), few),
            (f"{4 * count:,} rows, the same comes in", self.file(4 * count), few),
            (f"{count:,} rows, 20% comes in", self.file(), many),
        ]:
            target = self.path("target.parquet")
            copy(base, target)
            run = keyfold(self.options.program, target, incoming)
            print(f"| {title} | {run.seconds:.2f} s | {mib(run.peak)} |", flush=True)

    def repeat(self):
        """The first and the two hundredth upsert into one table."""
        print("\n### Two hundred upserts of 0.01% each\n\n| target | first ten | last ten | files read by the last |\n|---|---|---|---|")
        for title, base in [("Delta table", self.delta()), ("Deletion vectors", self.delta(vectors=True))]:
            target = self.path("target")
            copy(base, target)
            seconds = []
            for turn in range(200):
                path = self.incoming("newest", share=0.0001, turn=turn)
                run = keyfold(self.options.program, target, path)
                os.remove(path)
                seconds.append(run.seconds)
            first, last = statistics.median(seconds[:10]), statistics.median(seconds[-10:])
            print(f"| {title} | {first:.3f} s | {last:.3f} s | {run.report['files_read']} |", flush=True)

    def plan(self):
        """Planning alone: a row that no file can have, and a log of many files."""
        print("\n### Planning\n\n| files in the log | keyfold, dry run | peak memory | deltalake opens the table | peak memory |")
        print("|---|---|---|---|---|", flush=True)
        incoming = self.incoming("one", 2)
        for files in [10_000, 100_000]:
            table = self.path(f"log-{files}")
            if not os.path.exists(table):
                log(table, files)
            ours, theirs = [], []
            for _ in range(self.options.rounds):
                theirs.append(peer("delta_open", table, incoming))
                ours.append(keyfold(self.options.program, table, incoming, "--dry-run"))
            line = [f"{median(r.seconds for r in side):.2f} s | {mib(median(r.peak for r in side))}" for side in (ours, theirs)]
            print(f"| {files:,} | {line[0]} | {line[1]} |", flush=True)


def log(table, files):
    """A table of which only the log is there: its files hold ids that do not come in."""
    from deltalake import DeltaTable, write_deltalake

    part = rows.orders([1_000_000], changed=False)
    write_deltalake(table, part)
    with open(f"{table}/_delta_log/00000000000000000000.json") as lines:
        add = next(action for action in map(json.loads, lines) if "add" in action)
    for version in range(1, 11):
        with open(f"{table}/_delta_log/{version:020}.json", "w") as out:
            for number in range(files // 10):
                ids = 2_000_000 + (version * files + number) * 1_000
                stats = json.loads(add["add"]["stats"])
                stats["numRecords"] = 1_000
                stats["minValues"]["id"], stats["maxValues"]["id"] = ids, ids + 999
                path = f"part-{version:05}-{number:08}-4b1c8f0e-2f6c-4c55-9d9a-6a1b6f1f2f7d.zstd.parquet"
                out.write(json.dumps({"add": {**add["add"], "path": path, "stats": json.dumps(stats)}}) + "\n")
    DeltaTable(table).create_checkpoint()


def schema():
    return rows.orders([0], changed=False).schema


def median(values):
    return statistics.median(list(values))


def mib(count):
    return f"{count / (1 << 20):,.0f} MiB"


def machine():
    import duckdb
    import deltalake
    import lance
    import polars

    with open("/proc/cpuinfo") as lines:
        model = next((line.split(": ")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    print(f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB; Python {platform.python_version()}")
    print(
        f"deltalake {deltalake.__version__}, Polars {polars.__version__}, DuckDB {duckdb.__version__}, "
        f"Lance {lance.__version__}, pyarrow {pa.__version__}"
    )


if __name__ == "__main__":
    options = arguments()
    machine()
    if options.folder:
        os.makedirs(options.folder, exist_ok=True)
        Bench(options, options.folder).run()
    else:
        with tempfile.TemporaryDirectory() as folder:
            Bench(options, folder).run()
