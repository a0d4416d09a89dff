# Recipes for people who work on keyfold; `just --list` shows them.

# Everything CI runs.
ci:
    .ci/run

# The fast loop: types and lints.
check:
    cargo clippy --all-features --all-targets

# All tests.
test:
    cargo test --all-features

# The property tests again and again, with new cases each time; a case that fails is kept in proptest-regressions.
fuzz rounds="50":
    for round in $(seq {{rounds}}); do cargo test --quiet --all-features --lib || exit 1; done

# Kills, stops and stalls runs, lets requests fail, and lets writers meet, at every point of an upsert, where CI tries a
# sample. KEYFOLD_PROGRAM may name another build of the program.
soak:
    KEYFOLD_SOAK=1 cargo test --all-features --test it nothing_lost -- --nocapture

# Read, write and upsert a million rows with both backends, in a release build.
bench:
    cargo bench --all-features --bench upsert

# keyfold beside others on ten million rows; arguments go to benches/peers/run.py.
peers *arguments:
    benches/peers/run {{arguments}}

# The documentation, in a browser.
doc:
    cargo doc --all-features --no-deps --open
