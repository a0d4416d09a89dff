//! Nothing is lost: runs are killed, sleep, meet each other, and requests go wrong at every point of an upsert, for every
//! kind of target, and what is stored afterwards is what was there or what should be; the next run makes it what it
//! should be.

mod at_once;
mod kills;
mod stops;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::places::below;
use crate::run::Place;
use crate::s3_server::TestServer;

/// What rows are folded into.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    File,
    Folder,
    #[cfg(feature = "delta")]
    Delta,
    /// A Delta table in which replaced rows are marked in deletion vectors.
    #[cfg(feature = "delta")]
    Vectors,
}

impl Kind {
    const ALL: &[Self] = &[
        Self::File,
        Self::Folder,
        #[cfg(feature = "delta")]
        Self::Delta,
        #[cfg(feature = "delta")]
        Self::Vectors,
    ];

    /// Whether files take the place of others.
    fn is_replaced(self) -> bool {
        matches!(self, Self::File | Self::Folder)
    }

    fn target(self) -> &'static str {
        if self == Self::File { "t.parquet" } else { "t" }
    }

    /// How the stored rows are written.
    fn seed(self) -> Vec<&'static str> {
        match self {
            Self::File => vec![],
            Self::Folder => vec!["--target-format", "parquet", "--partition-by", "p"],
            #[cfg(feature = "delta")]
            Self::Delta => vec!["--partition-by", "p"],
            #[cfg(feature = "delta")]
            Self::Vectors => vec!["--partition-by", "p", "--deletion-vectors"],
        }
    }
}

/// Every kind of target, on disk and on S3; or only that which `KEYFOLD_SOAK_ONLY` names, such as `Folder on S3`, because a
/// whole soak takes hours.
fn scenes() -> impl Iterator<Item = (Kind, bool)> {
    let only = std::env::var("KEYFOLD_SOAK_ONLY").ok();
    let all = Kind::ALL.iter().flat_map(|kind| [(*kind, false), (*kind, true)]);
    all.filter(move |(kind, on_s3)| only.as_ref().is_none_or(|only| *only == named(*kind, *on_s3)))
}

fn named(kind: Kind, on_s3: bool) -> String {
    format!("{kind:?} on {}", if on_s3 { "S3" } else { "disk" })
}

/// The partition and the value of every row with an id.
type Rows = BTreeMap<usize, Vec<(String, u32)>>;

/// Stored rows, rows that fold into them, and what has to come out.
struct Story {
    stored: String,
    incoming: String,
    before: Rows,
    changes: Rows,
    after: Rows,
}

impl Story {
    /// Of `count` stored rows a half changes, some of which go to another partition; as many again as a tenth are new.
    fn of(count: usize) -> Self {
        let place = |id: usize| ["a", "b", "c"][id % 3].to_owned();
        let before: Rows = (0..count).map(|id| (id, vec![(place(id), 0)])).collect();
        let ids = (0..count).step_by(2).chain(count..count + count / 10);
        let changes: Rows =
            ids.map(|id| (id, vec![(if id % 4 == 0 { "d".to_owned() } else { place(id) }, 1)])).collect();
        let mut after = before.clone();
        after.extend(changes.clone());
        Self { stored: csv(&before), incoming: csv(&changes), before, changes, after }
    }
}

fn csv(rows: &Rows) -> String {
    let line = |(id, versions): (&usize, &Vec<(String, u32)>)| {
        let (place, value) = &versions[0];
        format!("{id},{place},{value}")
    };
    let lines: Vec<String> = ["id,p,v".to_owned()].into_iter().chain(rows.iter().map(line)).collect();
    lines.join("\n")
}

/// A stored table, and how to have it again.
struct Stand {
    kind: Kind,
    place: Place,
    server: Option<TestServer>,
    story: Story,
    round: usize,
}

impl Stand {
    fn new(kind: Kind, rows: usize, on_s3: bool) -> Self {
        let (mut place, story) = (Place::new(), Story::of(rows));
        let server = on_s3.then(|| TestServer::builder().bucket("lake").start());
        if let Some(server) = &server {
            place.set(server.env());
        }
        place.file("stored.csv", &story.stored);
        place.file("in.csv", &story.incoming);
        let stand = Self { kind, place, server, story, round: 0 };
        if stand.server.is_none() {
            std::fs::create_dir(stand.place.path("0")).expect("a folder");
        }
        let target = stand.target();
        let mut args = vec!["write", "stored.csv", &target];
        args.extend(kind.seed());
        stand.place.run(&args).ok();
        stand
    }

    fn target(&self) -> String {
        let root = if self.server.is_some() { "s3://lake/" } else { "" };
        format!("{root}{}/{}", self.round, self.kind.target())
    }

    fn args(&self) -> Vec<String> {
        ["upsert", "in.csv", &self.target(), "--id", "id", "--output", "json"].map(str::to_owned).to_vec()
    }

    /// The stored table as it was at first, at another place.
    fn reset(&mut self) {
        self.round += 1;
        match &self.server {
            Some(server) => {
                for key in server.keys("lake").iter().filter(|key| key.starts_with("0/")) {
                    let bytes = server.get_raw("lake", key).expect("an object");
                    server.put_raw("lake", &format!("{}{}", self.round, &key[1..]), bytes);
                }
            }
            None => copy(&self.place.path("0"), &self.place.path(&self.round.to_string())),
        }
    }

    fn start(&self) -> Child {
        self.start_with("in.csv")
    }

    fn start_with(&self, incoming: &str) -> Child {
        let (mut args, mut command) = (self.args(), self.place.command());
        incoming.clone_into(&mut args[1]);
        command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started")
    }

    /// Other rows for the same table, some of the same ids among them, in `other.csv`.
    fn other(&self) -> Rows {
        let versions = self.story.before.iter().filter(|(id, _)| *id % 3 == 0);
        let mut rows: Rows = versions.map(|(id, versions)| (*id, vec![(versions[0].0.clone(), 2)])).collect();
        rows.insert(1_000_000, vec![("a".to_owned(), 2)]);
        self.place.file("other.csv", csv(&rows));
        rows
    }

    fn rows(&self) -> Rows {
        let text = self
            .place
            .run(&["read", &self.target(), "--columns", "id,p,v", "--output", "csv"])
            .ok()
            .out
            .clone();
        let mut rows = Rows::new();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let row = (fields[1].to_owned(), fields[2].parse().expect("a number"));
            rows.entry(fields[0].parse().expect("an id")).or_default().push(row);
        }
        for versions in rows.values_mut() {
            versions.sort();
        }
        rows
    }

    /// Everything that stands there, by its name.
    fn names(&self) -> Vec<String> {
        let round = self.round.to_string();
        match &self.server {
            Some(server) => {
                let keys = server.keys("lake");
                keys.iter()
                    .filter_map(|key| key.strip_prefix(&format!("{round}/")))
                    .map(str::to_owned)
                    .collect()
            }
            None => below(&self.place.path(&round), ""),
        }
    }

    /// What is stored must be what was there or what should be; in a folder that holds for each file, and a row that
    /// moves may be there twice.
    fn check_interrupted(&self, what: &str) {
        let rows = self.rows();
        if self.kind != Kind::Folder {
            assert!(rows == self.story.before || rows == self.story.after, "{what}: neither old nor new");
            return;
        }
        let (before, after) = (&self.story.before, &self.story.after);
        for (id, found) in &rows {
            let known = |at: &Rows| at.get(id).is_some_and(|row| row == found);
            let mut both: Vec<_> =
                [before, after].iter().filter_map(|at| at.get(id)).flatten().cloned().collect();
            both.sort();
            let moves = both.len() == 2 && both[0].0 != both[1].0 && both == *found;
            assert!(known(before) || known(after) || moves, "{what}: id {id}: {found:?}");
        }
        let missing = before.keys().find(|id| !rows.contains_key(*id));
        assert_eq!(missing, None, "{what}");
    }

    /// The next run makes it what it should be, cleans up, and the one after it finds nothing to do.
    fn check_run_again(&self, what: &str) {
        let run = || {
            let args = self.args();
            self.place.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).json()
        };
        run();
        assert_eq!(self.rows(), self.story.after, "{what}");
        assert_eq!(run()["bytes_written"], 0, "{what}");
        let names = self.names();
        let leftover = |name: &&String| match self.kind {
            Kind::File => name.as_str() != "t.parquet",
            Kind::Folder => name.starts_with(".t.keyfold/") && !name.ends_with("head.json"),
            // What no version names is for a vacuum: nobody can tell it from what another writer is about to commit.
            #[cfg(feature = "delta")]
            Kind::Delta | Kind::Vectors => false,
        };
        // By this a service is asked what it can do; who dies while he asks leaves it.
        let probe = |name: &&String| name.contains(".keyfold-probe-");
        assert_eq!(names.iter().filter(|name| !probe(name)).find(leftover), None, "{what}");
        // In a folder of files readers would see it.
        let seen = |name: &&String| self.kind == Kind::Folder && name.starts_with("t/");
        assert_eq!(names.iter().filter(probe).find(seen), None, "{what}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("listed").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Prints where it is seen: the test harness keeps what is printed by macros to itself.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error is open");
}

/// Whether everything is tried, not a sample.
fn is_soak() -> bool {
    std::env::var_os("KEYFOLD_SOAK").is_some()
}
