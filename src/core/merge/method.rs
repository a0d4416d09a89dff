//! Methods: ready-made rules, by the names that users give them.

use std::str::FromStr;

use strum::VariantNames;

use crate::error::{Error, ErrorKind, Result};

/// Ready-made merge rules, as users name them.
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
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum UpsertMethod {
    /// The incoming row replaces the stored row of the same id.
    Id,
    /// Of two rows with the same id, the one with the newer modification value stays.
    Modified,
    /// Rows with new ids are added; stored rows stay as they are.
    InsertOnly,
    /// As `modified` with a modification column, else as `id`, but no row is added: the target has to be there.
    UpdateOnly,
    /// As `modified` with a modification column, else as `id`; stored rows whose id does not come in go.
    Mirror,
    /// Each version of a row is a row of its own, that says since when and until when it holds.
    History,
}

impl FromStr for UpsertMethod {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "id" => Ok(Self::Id),
            "modified" => Ok(Self::Modified),
            "insert-only" => Ok(Self::InsertOnly),
            "update-only" => Ok(Self::UpdateOnly),
            "mirror" => Ok(Self::Mirror),
            "history" => Ok(Self::History),
            _ => Err(Error::new(ErrorKind::Usage, "unknown method")
                .with("method", name)
                .hint(format!("known methods: {}", Self::VARIANTS.join(", ")))),
        }
    }
}
