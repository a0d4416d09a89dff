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

# Read, write and upsert a million rows with both backends, in a release build.
bench:
    cargo bench --all-features --bench upsert

# The documentation, in a browser.
doc:
    cargo doc --all-features --no-deps --open
