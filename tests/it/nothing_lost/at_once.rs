//! Several writers at once, a reader who looks all the time, and a compaction beside them: the end is what some order of
//! the upserts gives, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Kind, is_soak, named, say, scenes};
use crate::run::Place;
use crate::s3_server::TestServer;

/// The value of every id.
type Values = BTreeMap<u32, u32>;

/// What one upsert of one writer folds in: pairs of ids, each pair with one value that nobody else writes.
fn batch(writer: u32, round: u32) -> Values {
    let pairs = (0..10 + round).filter(|pair| !(pair + writer + round).is_multiple_of(3));
    pairs.flat_map(|pair| [2 * pair, 2 * pair + 1]).map(|id| (id, 1_000 * writer + round)).collect()
}

fn csv(rows: &Values) -> String {
    let line = |(id, value): (&u32, &u32)| format!("{id},p{},{value}", id / 2 % 3);
    let lines: Vec<String> = ["id,p,v".to_owned()].into_iter().chain(rows.iter().map(line)).collect();
    lines.join("\n")
}

/// An upsert that was done.
struct Upserted {
    writer: u32,
    round: u32,
    version: Option<u64>,
    inserted: u64,
}

struct Scene {
    kind: Kind,
    place: Place,
    target: String,
    _server: Option<TestServer>,
    done: AtomicBool,
}

impl Scene {
    fn new(kind: Kind, on_s3: bool) -> Self {
        let mut place = Place::new();
        let server = on_s3.then(|| TestServer::builder().bucket("lake").start());
        if let Some(server) = &server {
            place.set(server.env());
        }
        let root = if on_s3 { "s3://lake/" } else { "" };
        let slash = if kind == Kind::Folder { "/" } else { "" };
        let target = format!("{root}{}{slash}", kind.target());
        Self { kind, place, target, _server: server, done: AtomicBool::new(false) }
    }

    fn upsert(&self, writer: u32, round: u32) -> Upserted {
        let name = format!("in-{writer}.csv");
        self.place.file(&name, csv(&batch(writer, round)));
        let mut args =
            vec!["upsert", &name, &self.target, "--id", "id", "--max-retries", "100000", "--output", "json"];
        args.extend(self.kind.seed());
        let report = self.place.run(&args).json();
        let version = report["version_after"].as_str().and_then(|version| version.parse().ok());
        Upserted { writer, round, version, inserted: report["inserted"].as_u64().expect("a number") }
    }

    /// The rows, each id once; `None` if somebody replaced a file in that moment.
    fn read(&self) -> Option<Values> {
        let run = self.place.run(&["read", &self.target, "--columns", "id,v", "--output", "csv"]);
        let is_busy = run.code == Some(1)
            && ["has changed meanwhile", "was replaced", "someone else"]
                .iter()
                .any(|text| run.err.contains(text));
        if is_busy && self.kind.is_replaced() {
            return None;
        }
        let mut rows = Values::new();
        for line in run.ok().out.lines().skip(1) {
            let (id, value) = line.split_once(',').expect("two columns");
            let id = id.parse().expect("an id");
            let known = rows.insert(id, value.parse().expect("a number"));
            assert_eq!(known, None, "{:?}: id {id} twice", self.kind);
        }
        Some(rows)
    }

    /// Reads again and again; how often, and how often a file was replaced meanwhile.
    fn watch(&self) -> (u32, u32) {
        let (mut reads, mut busy) = (0, 0);
        while !self.done.load(Ordering::Relaxed) {
            reads += 1;
            match self.read() {
                Some(rows) if self.kind != Kind::Folder => assert_eq!(torn(&rows), None, "{:?}", self.kind),
                Some(_) => {}
                None => busy += 1,
            }
        }
        (reads, busy)
    }

    /// Puts small files together again and again; how often there were any.
    fn compact(&self) -> u32 {
        let mut compacted = 0;
        while !self.done.load(Ordering::Relaxed) {
            let run =
                self.place.run(&["optimize", &self.target, "--max-retries", "100000", "--output", "json"]);
            // At first there is no table yet.
            if run.code == Some(1) && run.err.contains("there is no such") {
                continue;
            }
            compacted += u32::from(run.json()["files_removed"].as_u64() > Some(0));
        }
        compacted
    }
}

/// A pair of ids whose values differ, though they are always written together.
fn torn(rows: &Values) -> Option<u32> {
    rows.iter()
        .map(|(id, value)| (id, value, rows.get(&(id ^ 1))))
        .find(|(_, v, other)| Some(*v) != *other)
        .map(|f| *f.0)
}

/// What the upserts give, one after the other.
fn replayed(upserts: &[Upserted]) -> Values {
    let mut rows = Values::new();
    for upserted in upserts {
        let batch = batch(upserted.writer, upserted.round);
        let new = batch.keys().filter(|id| !rows.contains_key(id)).count() as u64;
        assert_eq!(new, upserted.inserted, "version {:?}", upserted.version);
        rows.extend(batch);
    }
    rows
}

fn play(kind: Kind, on_s3: bool, writers: u32, rounds: u32) {
    let scene = Scene::new(kind, on_s3);
    let upserts = Mutex::new(Vec::new());
    let write = |writer: u32| {
        for round in 0..rounds {
            let upserted = scene.upsert(writer, round);
            upserts.lock().unwrap_or_else(PoisonError::into_inner).push(upserted);
        }
    };
    let write = &write;
    let (reads, busy, compacted) = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..writers).map(|writer| scope.spawn(move || write(writer))).collect();
        // There is something to read once the first one is through.
        while upserts.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
            && handles.iter().any(|w| !w.is_finished())
        {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let reader = scope.spawn(|| scene.watch());
        let compaction = (kind != Kind::File).then(|| scope.spawn(|| scene.compact()));
        let ended: Vec<_> = handles.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        scene.done.store(true, Ordering::Relaxed);
        let (reads, busy) = reader.join().expect("a reader");
        let compacted = compaction.map_or(0, |compaction| compaction.join().expect("a compaction"));
        assert!(ended.iter().all(Result::is_ok), "{kind:?}: a writer failed");
        (reads, busy, compacted)
    });
    let mut upserts = upserts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let rows = scene.read().expect("nobody writes any more");
    assert_eq!(torn(&rows), None, "{kind:?}");
    let inserted: u64 = upserts.iter().map(|upserted| upserted.inserted).sum();
    assert_eq!(inserted, rows.len() as u64, "{kind:?}: as many were inserted as there are");
    if kind == Kind::File {
        // Versions of a file have no order; each value must be of the last upsert of its writer that had the id.
        for (id, value) in &rows {
            let (writer, round) = (value / 1_000, value % 1_000);
            let last = (0..rounds).rev().find(|round| batch(writer, *round).contains_key(id));
            assert_eq!(Some(round), last, "id {id}: {value}");
        }
        let all: BTreeSet<u32> =
            (0..writers).flat_map(|w| (0..rounds).flat_map(move |r| batch(w, r).into_keys())).collect();
        assert!(rows.keys().copied().eq(all), "ids are missing");
    } else {
        upserts.sort_by_key(|upserted| upserted.version);
        assert!(
            upserts.windows(2).all(|pair| pair[0].version < pair[1].version),
            "{kind:?}: a version twice"
        );
        assert_eq!(replayed(&upserts), rows, "{kind:?}");
    }
    say(&format!(
        "at once: {}, {writers} writers x {rounds} upserts, {} rows, {reads} reads ({busy} met a \
         replaced file), {compacted} compactions",
        named(kind, on_s3),
        rows.len()
    ));
}

#[test]
fn writers_at_once_on_disk_end_as_if_they_had_come_one_after_the_other() {
    let (writers, rounds) = if is_soak() { (16, 50) } else { (4, 10) };
    for (kind, on_s3) in scenes().filter(|(_, on_s3)| !on_s3) {
        play(kind, on_s3, writers, rounds);
    }
}

#[test]
fn writers_at_once_on_s3_end_as_if_they_had_come_one_after_the_other() {
    let (writers, rounds) = if is_soak() { (16, 50) } else { (4, 5) };
    for (kind, on_s3) in scenes().filter(|(_, on_s3)| *on_s3) {
        play(kind, on_s3, writers, rounds);
    }
}
