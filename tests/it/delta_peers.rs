//! Delta tables as others write and read them: Python's deltalake, Polars and Arrow, which are not on every machine.

use std::process::Command;

#[test]
#[ignore = "needs Python with deltalake, polars and pyarrow; KEYFOLD_DELTA_PYTHON names it"]
fn others_read_what_we_write_and_we_fold_into_what_they_wrote() {
    let python = std::env::var("KEYFOLD_DELTA_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let folder = tempfile::tempdir().expect("a folder");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/delta.py");
    let mut command = Command::new(python);
    command.arg(script).arg(env!("CARGO_BIN_EXE_keyfold")).arg(folder.path());
    let done = command.output().expect("Python starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
