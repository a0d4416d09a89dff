//! Where tests keep their data: a folder, memory, or a prefix of a bucket on a server of their own.

use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "s3")]
use keyfold::S3Settings;
use keyfold::conformance::{bytes_at, names_at, put_bytes_at};
use keyfold::{Location, Session};

/// The kinds of storage that every test of the library can run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Disk,
    Memory,
    #[cfg(feature = "s3")]
    S3,
}

impl Kind {
    pub(crate) const ALL: &[Self] = &[
        Self::Disk,
        Self::Memory,
        #[cfg(feature = "s3")]
        Self::S3,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
            #[cfg(feature = "s3")]
            Self::S3 => "s3",
        }
    }
}

/// A place that is empty at first.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) session: Session,
    pub(crate) root: String,
    /// What has to live as long as the place.
    _held: Held,
}

#[derive(Clone)]
enum Held {
    Folder(#[expect(dead_code, reason = "it is removed when this is dropped")] Arc<tempfile::TempDir>),
    Nothing,
}

impl Place {
    pub(crate) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Disk => {
                let folder = tempfile::tempdir().expect("a folder");
                let root = folder.path().display().to_string();
                Self { kind, session: Session::default(), root, _held: Held::Folder(Arc::new(folder)) }
            }
            Kind::Memory => Self {
                kind,
                session: Session::default(),
                root: "memory://place".to_owned(),
                _held: Held::Nothing,
            },
            #[cfg(feature = "s3")]
            Kind::S3 => {
                let root = format!("s3://lake/{}", fresh());
                Self { kind, session: Session::with_s3(shared_settings()), root, _held: Held::Nothing }
            }
        }
    }

    /// A bucket of a server of its own.
    #[cfg(feature = "s3")]
    pub(crate) fn on(server: &crate::s3_server::TestServer) -> Self {
        let session = Session::with_s3(settings(server));
        Self { kind: Kind::S3, session, root: "s3://lake".to_owned(), _held: Held::Nothing }
    }

    pub(crate) fn at(&self, name: &str) -> Location {
        format!("{}/{name}", self.root).parse().expect("a location")
    }

    /// The bytes of a file, if it is there.
    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        bytes_at(&self.session, &self.at(name)).expect("looks")
    }

    /// Names of everything in it, hidden files included.
    pub(crate) fn names(&self) -> Vec<String> {
        names_at(&self.session, &self.root.parse().expect("a location")).expect("listed")
    }

    /// Names of everything in a folder of it, if there is one.
    pub(crate) fn names_in(&self, folder: &str) -> Vec<String> {
        names_at(&self.session, &self.at(folder)).unwrap_or_default()
    }

    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        put_bytes_at(&self.session, &self.at(name), content).expect("written");
    }
}

/// A prefix that nobody else has.
#[cfg(feature = "s3")]
fn fresh() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// One server for all tests that ask nothing special of it; each has a prefix of its own.
#[cfg(feature = "s3")]
pub(crate) fn shared_settings() -> S3Settings {
    use crate::s3_server::TestServer;
    use std::sync::LazyLock;
    static SERVER: LazyLock<TestServer> = LazyLock::new(|| TestServer::builder().bucket("lake").start());
    settings(&SERVER)
}

/// How to reach a server.
#[cfg(feature = "s3")]
pub(crate) fn settings(server: &crate::s3_server::TestServer) -> S3Settings {
    S3Settings::default()
        .with_endpoint_url(server.endpoint())
        .with_region("us-east-1")
        .with_access_key_id(server.access_key())
        .with_secret_access_key(server.secret_key())
}

/// The files below a folder, however deep, by their names below it, in order.
pub(crate) fn below(folder: &Path, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("listed").flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            names.extend(below(&entry.path(), &format!("{name}/")));
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}
