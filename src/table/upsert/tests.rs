//! What an upsert sees of others who write the same target.

use arrow::array::{ArrayRef, Int64Array, RecordBatch};

use super::*;
use crate::core::format::Format;

fn batch(id: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![id]));
    RecordBatch::try_from_iter([("id", ids)]).expect("a row")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_too_late_is_told_before_he_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = Session::default();
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    for (name, format) in [("t.parquet", None), ("folder/", Some(Format::Parquet)), ("table", None)] {
        if name == "table" && !crate::table::delta::IS_KNOWN {
            continue;
        }
        for root in [format!("{}/", folder.path().display()), "memory://place/".to_owned()] {
            let is_locked = name == "t.parquet" && !root.starts_with("memory:");
            let target: Location = format!("{root}{name}").parse().expect("a location");
            let options = format.into_iter().fold(UpsertOptions::default(), UpsertOptions::with_format);
            let fold = async |id: i64| {
                let rows = BatchStream::from_iter(batch(id).schema(), [Ok(batch(id))]);
                upsert(&session, rows, &target, &rule, &options, "test").await.expect("folds")
            };
            fold(1).await;
            let stands = async || {
                let (target, options) = (target.clone(), options.clone());
                let look = move |session: &Session| {
                    let found = place_of(session, &target, &options)?.open(session, false)?;
                    let Found::Table(table) = found else { panic!("it is there") };
                    Ok(table)
                };
                session.run(look).await.expect("opens")
            };
            let table = stands().await;
            let is_outrun = async |table: Box<dyn StoredTable>| {
                session.run(move |session| table.is_outrun(session)).await.expect("looks")
            };
            assert!(!is_outrun(table).await, "{target}: nobody else was there");
            if is_locked {
                continue;
            }
            let table = stands().await;
            fold(2).await;
            assert!(is_outrun(table).await, "{target}: somebody has come first");
        }
    }
}

/// A target that somebody else changes whenever it is looked at.
struct Contended {
    place: Box<dyn UpsertTarget>,
    looks: u32,
}

impl UpsertTarget for Contended {
    fn location(&self) -> &Location {
        self.place.location()
    }

    fn open(&mut self, session: &Session, dry_run: bool) -> Result<Found> {
        self.looks += 1;
        if dry_run { self.place.open(session, dry_run) } else { Ok(Found::Changed) }
    }

    fn create(&mut self, session: &Session, schema: &SchemaRef) -> Result<Box<dyn StoredTable>> {
        self.place.create(session, schema)
    }

    fn has_a_line(&self) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_too_late_every_time_gives_up_and_names_the_version_that_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = Session::default();
    let target: Location = format!("{}/t.parquet", folder.path().display()).parse().expect("a location");
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    let options = UpsertOptions::default();
    let rows = BatchStream::from_iter(batch(1).schema(), [Ok(batch(1))]);
    let first = upsert(&session, rows, &target, &rule, &options, "test").await.expect("folds");
    for (options, attempts) in [(options.clone(), 11), (options.with_max_retries(2), 3)] {
        let (target, rule) = (target.clone(), rule.clone());
        let try_all = move |session: &Session| {
            let place = place_of(session, &target, &options)?;
            let mut job = Job {
                session,
                place: Box::new(Contended { place, looks: 0 }),
                rows: Spilled::Memory(batch(2).schema(), vec![batch(2)]),
                valued: HashSet::from(["id".to_owned()]),
                rule,
                budget: Budget::new(options.memory_limit.unwrap_or_default()),
                options,
                quarantine: None,
                backend: "test",
                times: PhaseTimes::default(),
                now: Utc::now(),
            };
            job.run(Instant::now()).map(drop)
        };
        let error = session.run(try_all).await.expect_err("it never comes first");
        let version = first.version_after.as_deref().expect("a version");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(&format!("attempts: {attempts}, version: {version}")), "{error}");
    }
}
