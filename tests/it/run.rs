//! Runs the keyfold program as a user would, and reads what it prints.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A folder of its own for one test, and the program run in it.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// The program: the one that was built with the tests, or another build of it that `KEYFOLD_PROGRAM` names.
fn program() -> PathBuf {
    std::env::var_os("KEYFOLD_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_keyfold").into(), PathBuf::from)
}

/// What a run ended with.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text on stdout"),
            err: String::from_utf8(output.stderr).expect("text on stderr"),
        }
    }

    /// The one JSON object on stdout of a run that succeeded.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        self.ok();
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("not one JSON object: {e}\n{}", self.out))
    }

    /// The same run, which must have succeeded.
    #[track_caller]
    pub(crate) fn ok(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self
    }

    /// The error text of a run that must have failed with `code` and without a panic.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        assert_eq!(self.out, "", "a failed run prints nothing to stdout");
        &self.err
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), variables: Vec::new() }
    }

    /// Sets variables for every run in this place.
    pub(crate) fn set(&mut self, variables: impl IntoIterator<Item = (&'static str, String)>) {
        self.variables.extend(variables.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file; gives its path as text.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("written");
        path.display().to_string()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("read")
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("read")
    }

    /// Names of everything in the folder, hidden files included.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("listed").flatten();
        let mut names: Vec<_> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("KEYFOLD_") || name.starts_with("AWS_"))
        {
            command.env_remove(name);
        }
        // Nor what else on this machine would lend keys.
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", self.folder.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program in the folder.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command().args(args).output().expect("started"))
    }

    /// Runs the program with `input` on its standard input.
    pub(crate) fn pipe(&self, args: &[&str], input: &[u8]) -> Run {
        use std::io::Write;
        let mut command = self.command();
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        child.stdin.take().expect("piped").write_all(input).expect("written");
        Run::of(child.wait_with_output().expect("ended"))
    }
}

/// Some numbers of a report, in the order of `fields`.
#[track_caller]
pub(crate) fn counts(report: &Value, fields: &[&str]) -> Vec<u64> {
    fields.iter().map(|f| report[f].as_u64().unwrap_or_else(|| panic!("no number {f} in {report}"))).collect()
}

/// A folder beside the checkout with real data; `None`, said aloud, where it is not there and not required.
pub(crate) fn shared_data(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    let required = std::env::var("KEYFOLD_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|part| part == name), "required data is missing: {}", folder.display());
    eprintln!("ignored: {} is not there", folder.display());
    None
}
