//! The front door for upserts.

use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::merge::{MergeRule, UpsertMethod};
use crate::core::options::{ReadOptions, TextAs, UpsertOptions};
use crate::core::report::UpsertReport;
use crate::error::Result;
use crate::factory::{DataReaderWriterFactory, UpsertFactory};
use crate::interfaces::Frame;
use crate::ops::builder::{Builder, Parts};
use crate::table::source::Source;
use crate::table::source_types::source_types;
use crate::table::target::{check_named, target_format};
use crate::table::text::with_marks;

/// Folds new rows into data at rest.
///
/// ```
/// # #[cfg(feature = "polars")]
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use keyfold::polars::prelude::*;
/// use keyfold::{Upsert, UpsertMethod};
///
/// # let folder = tempfile::tempdir()?;
/// # std::fs::write(folder.path().join("orders.csv"), "order_id,total\n1,9.5\n2,3.0\n")?;
/// # let folder = folder.path().display().to_string();
/// let upsert = Upsert::builder().backend("polars").folder(folder).build()?;
/// let changes = df!("order_id" => [2, 3], "total" => [4.0, 7.25])?;
/// let report = upsert.upsert(changes, "orders.csv", UpsertMethod::Id, &["order_id"], None).await?;
/// assert_eq!((report.rows.updated, report.rows.inserted), (1, 1));
/// # Ok(()) }
/// # #[cfg(not(feature = "polars"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Upsert(Parts);

impl From<Parts> for Upsert {
    fn from(parts: Parts) -> Self {
        Self(parts)
    }
}

impl Upsert {
    /// Starts a builder.
    #[must_use]
    pub fn builder() -> Builder<Self> {
        Builder::default()
    }

    /// Folds `new_rows` into `target` by these columns.
    ///
    /// # Errors
    ///
    /// As [`MergeRule::new`] and [`Upserter::upsert_opts`](crate::Upserter::upsert_opts).
    pub async fn upsert(
        &self,
        new_rows: impl Into<Frame>,
        target: &str,
        method: UpsertMethod,
        id_columns: &[&str],
        modification_column: Option<&str>,
    ) -> Result<UpsertReport> {
        let rule = MergeRule::new(method, id_columns.iter().copied(), modification_column.map(Into::into))?;
        self.upsert_opts(new_rows, target, &rule, UpsertOptions::default()).await
    }

    /// Folds `new_rows` into `target` as `rule` says.
    ///
    /// # Errors
    ///
    /// As [`Upserter::upsert_opts`](crate::Upserter::upsert_opts).
    pub async fn upsert_opts(
        &self,
        new_rows: impl Into<Frame>,
        target: &str,
        rule: &MergeRule,
        mut options: UpsertOptions,
    ) -> Result<UpsertReport> {
        options.check_rule(rule)?;
        options.quarantine = options.quarantine.map(|place| self.0.located(&place)).transpose()?;
        let rows = new_rows.into();
        let upserter = UpsertFactory::new(self.0.session.clone()).upserter(&self.0.backend)?;
        upserter.upsert_opts(rows, &self.0.locate(target)?, rule, options).await
    }

    /// Folds the rows of files into `target`. Text is parsed straight into the stored types, without a
    /// guess in between. The sources may differ in format; they have the same columns.
    ///
    /// # Errors
    ///
    /// As [`Reader::read_opts`](crate::Reader::read_opts) and
    /// [`Upserter::upsert_opts`](crate::Upserter::upsert_opts).
    pub async fn upsert_files(
        &self,
        sources: &[impl AsRef<str>],
        read: ReadOptions,
        target: &str,
        rule: &MergeRule,
        mut options: UpsertOptions,
    ) -> Result<UpsertReport> {
        options.check_rule(rule)?;
        options.csv.timestamp_format =
            options.csv.timestamp_format.or_else(|| read.csv.timestamp_format.clone());
        let sources = self.0.locate_all(sources)?;
        let reader = DataReaderWriterFactory::new(self.0.session.clone()).reader(&self.0.backend)?;
        check_named(&self.0.session, &self.0.locate(target)?, &options).await?;
        let groups = self.by_format(sources, &read).await?;
        let typed = self.typed_by_target(&read, &self.0.locate(target)?, rule, &options, &groups).await?;
        let mut frames = Vec::new();
        for (format, group) in groups {
            // Formats with types of their own are read as they are, and cast exactly afterwards.
            let options = if format.is_text() { &typed } else { &read };
            frames.push(with_marks(reader.read_opts(&group, options.clone()).await?, options).await?);
        }
        self.upsert_opts(Frame::concat(frames).await?, target, rule, options).await
    }

    /// How text of `groups` is read so that nothing is lost on its way into the target.
    async fn typed_by_target(
        &self,
        read: &ReadOptions,
        target: &Location,
        rule: &MergeRule,
        options: &UpsertOptions,
        groups: &[(Format, Vec<Location>)],
    ) -> Result<ReadOptions> {
        let read = ReadOptions { case: rule.columns().case, ..read.clone() };
        let target = target.clone();
        let (rule, options) = (rule.clone(), options.clone());
        // A condition is asked of values: where there is one, JSON is not taken as it stands.
        let json = rule.delete_marks().is_none();
        let json = json && groups.iter().all(|(format, _)| matches!(format, Format::Ndjson | Format::Json));
        let told = move |session: &Session| match target_format(session, &target, &options)? {
            Format::Csv => Ok(ReadOptions { text_as: TextAs::Text, ..read }),
            Format::Ndjson if json => Ok(ReadOptions { text_as: TextAs::Tokens, ..read }),
            _ => Ok(ReadOptions { stored: source_types(session, &target, &rule, &read, &options)?, ..read }),
        };
        self.0.session.run(told).await
    }

    /// Neighbours of one format are read together, so that their types are told together.
    async fn by_format(
        &self,
        sources: Vec<Location>,
        read: &ReadOptions,
    ) -> Result<Vec<(Format, Vec<Location>)>> {
        let read = read.clone();
        self.0.session.run(move |session| Source::group_by_format(session, sources, &read)).await
    }
}
