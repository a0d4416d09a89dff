//! Makes readers, writers and upserters from the names that users type.

use std::str::FromStr;
use std::sync::Arc;

use strum::{IntoEnumIterator, VariantNames};

use crate::client::session::Session;
use crate::core::location::Location;
use crate::core::merge::{MergeRule, UpsertMethod};
use crate::core::options::UpsertOptions;
use crate::core::report::UpsertReport;
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::{Frame, Reader, Upserter, Writer};

/// The backends that this build has in it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::VariantNames,
    strum::IntoStaticStr,
    strum::EnumIter,
)]
#[strum(serialize_all = "lowercase")]
#[non_exhaustive]
pub enum Backend {
    /// Polars.
    #[cfg(feature = "polars")]
    Polars,
    /// Apache DataFusion.
    #[cfg(feature = "datafusion")]
    DataFusion,
}

impl Backend {
    /// The names of the backends in this build.
    #[must_use]
    pub fn names() -> &'static [&'static str] {
        Self::VARIANTS
    }

    /// The backend to use where none is named: the first of this build.
    ///
    /// # Errors
    ///
    /// `Unsupported` in a build without backends.
    pub fn first() -> Result<Self> {
        Self::iter().next().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "this build of keyfold has no backend")
                .hint("build with feature polars or datafusion")
        })
    }
}

impl FromStr for Backend {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::iter().find(|backend| <&str>::from(backend).eq_ignore_ascii_case(name)).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "unknown backend")
                .with("backend", name)
                .hint(format!("known backends: {}", Self::names().join(", ")))
        })
    }
}

/// Makes readers and writers.
///
/// ```
/// # #[cfg(feature = "polars")] {
/// use keyfold::{DataReaderWriterFactory, Session};
///
/// let factory = DataReaderWriterFactory::new(Session::from_env());
/// assert!(factory.reader("polars").is_ok());
/// assert!(factory.reader("pandas").is_err());
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct DataReaderWriterFactory {
    session: Session,
}

impl DataReaderWriterFactory {
    /// A factory whose products share `session`.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session }
    }

    /// The reader of a backend.
    ///
    /// # Errors
    ///
    /// `Usage` that lists the known names.
    pub fn reader(&self, backend: &str) -> Result<Arc<dyn Reader>> {
        match backend.parse::<Backend>()? {
            #[cfg(feature = "polars")]
            Backend::Polars => Ok(Arc::new(crate::backends::polars::PolarsReader::new(self.session.clone()))),
            #[cfg(feature = "datafusion")]
            Backend::DataFusion => {
                Ok(Arc::new(crate::backends::datafusion::DataFusionReader::new(self.session.clone())))
            }
        }
    }

    /// The writer of a backend.
    ///
    /// # Errors
    ///
    /// `Usage` that lists the known names.
    pub fn writer(&self, backend: &str) -> Result<Arc<dyn Writer>> {
        match backend.parse::<Backend>()? {
            #[cfg(feature = "polars")]
            Backend::Polars => Ok(Arc::new(crate::backends::polars::PolarsWriter::new(self.session.clone()))),
            #[cfg(feature = "datafusion")]
            Backend::DataFusion => {
                Ok(Arc::new(crate::backends::datafusion::DataFusionWriter::new(self.session.clone())))
            }
        }
    }
}

/// Makes upserters.
#[derive(Debug, Clone, Default)]
pub struct UpsertFactory {
    session: Session,
}

impl UpsertFactory {
    /// A factory whose products share `session`.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session }
    }

    /// The upserter of a backend, for any merge rule.
    ///
    /// # Errors
    ///
    /// `Usage` that lists the known names.
    pub fn upserter(&self, backend: &str) -> Result<Arc<dyn Upserter>> {
        match backend.parse::<Backend>()? {
            #[cfg(feature = "polars")]
            Backend::Polars => {
                Ok(Arc::new(crate::backends::polars::PolarsUpserter::new(self.session.clone())))
            }
            #[cfg(feature = "datafusion")]
            Backend::DataFusion => {
                Ok(Arc::new(crate::backends::datafusion::DataFusionUpserter::new(self.session.clone())))
            }
        }
    }

    /// The upserter of a backend and a method, both by name.
    ///
    /// # Errors
    ///
    /// `Usage` that lists the known names.
    pub fn create(&self, backend: &str, method: &str) -> Result<MethodUpserter> {
        Ok(MethodUpserter { upserter: self.upserter(backend)?, method: method.parse()? })
    }
}

/// An upserter that knows its method.
#[derive(Debug, Clone)]
pub struct MethodUpserter {
    upserter: Arc<dyn Upserter>,
    method: UpsertMethod,
}

impl MethodUpserter {
    /// Folds `rows` into `target` by these columns.
    ///
    /// # Errors
    ///
    /// As [`MergeRule::new`] and [`Upserter::upsert_opts`].
    pub async fn upsert(
        &self,
        rows: impl Into<Frame> + Send,
        target: &Location,
        ids: &[&str],
        modified: Option<&str>,
    ) -> Result<UpsertReport> {
        let rule = MergeRule::new(self.method, ids.iter().copied(), modified.map(Into::into))?;
        self.upserter.upsert_opts(rows.into(), target, &rule, UpsertOptions::default()).await
    }
}

#[cfg(all(test, feature = "polars", feature = "datafusion"))]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = UpsertFactory::default().create("spark", "id").expect_err("unknown");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(error.hint_text(), Some("known backends: polars, datafusion"));
        let error = UpsertFactory::default().create("polars", "newest").expect_err("unknown");
        assert_eq!(
            error.hint_text(),
            Some("known methods: id, modified, insert-only, update-only, mirror, history")
        );
    }

    #[test]
    fn names_are_found_whatever_their_case() {
        assert_eq!("DataFusion".parse::<Backend>().ok(), Some(Backend::DataFusion));
    }
}
