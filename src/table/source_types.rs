//! The types in which text is read to go into a target: parsed straight into what is stored, without a guess in between.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::merge::{IncomingColumns, MergeRule};
use crate::core::options::{ReadOptions, UpsertOptions};
use crate::error::{Error, Result};
use crate::table::again::look_again;
use crate::table::delta::{At, Snapshot};
use crate::table::folder::Folder;
use crate::table::parquet::ParquetFile;
use crate::table::source::format_of;
use crate::table::target::{Kind, stands, will_stand};
use crate::table::text::{TextFile, check_plain};
use crate::table::{ParquetTable, StoredFile};

/// The types in which text should be read to go into `target`: its own if it exists. `None` if it does not, or
/// if the target is delimited text, which takes every text as it is.
///
/// Where `rule` takes values that are none of the stored type, text is read as it is: what becomes of it is known once all
/// sources are one. What a filter looks at needs its type all the same, and so does what has parts.
pub(crate) fn source_types(
    session: &Session,
    target: &Location,
    rule: &MergeRule,
    read: &ReadOptions,
    options: &UpsertOptions,
) -> Result<Option<SchemaRef>> {
    let Some(stored) = stored_types(session, target, options)? else { return Ok(None) };
    let stored = before_renames(&stored, rule.columns());
    if rule.casting().is_exact() {
        return Ok(Some(stored));
    }
    let as_text = |field: &FieldRef| {
        if field.data_type().is_nested() || read.is_filtered(field.name()) {
            Arc::clone(field)
        } else {
            Arc::new(Field::clone(field).with_data_type(DataType::Utf8))
        }
    };
    Ok(Some(Arc::new(Schema::new(stored.fields().iter().map(as_text).collect::<Vec<_>>()))))
}

/// The stored columns by the names under which they come in.
fn before_renames(stored: &SchemaRef, columns: &IncomingColumns) -> SchemaRef {
    let case = columns.case;
    let mut fields = Vec::with_capacity(stored.fields().len());
    for field in stored.fields() {
        let is_new = |(_, new): &&(String, String)| case.key(new) == case.key(field.name());
        let is_old = |(old, _): &(String, String)| case.key(old) == case.key(field.name());
        match columns.renames.iter().find(is_new) {
            Some((old, _)) => fields.push(Arc::new(Field::clone(field).with_name(old))),
            // What comes in by this name goes elsewhere.
            None if columns.renames.iter().any(is_old) => {}
            None => fields.push(Arc::clone(field)),
        }
    }
    Arc::new(Schema::new(fields))
}

/// The columns of `target` as it is, in the types that text is parsed as.
fn stored_types(session: &Session, target: &Location, options: &UpsertOptions) -> Result<Option<SchemaRef>> {
    match stands(session, target, options.format)? {
        Kind::Delta => {
            let snapshot = Snapshot::load(session, target, At::Latest)?;
            return Ok(snapshot.map(|snapshot| Arc::clone(snapshot.schema())));
        }
        Kind::Folder => {
            let folder = Folder::load(session, target)?;
            return Ok(folder.map(|folder| Arc::clone(folder.schema())));
        }
        Kind::File => {}
    }
    if will_stand(session, target, options.format)? != Kind::File {
        return Ok(None);
    }
    let file = session.open(target)?;
    if file.version()?.is_none() {
        return Ok(None);
    }
    let format = format_of(&file, options.format)?;
    let describe = || match format {
        Format::Parquet => Ok(Some(ParquetFile::open(file.read()?)?.schema())),
        Format::Ndjson => {
            let content = file.read()?.into_file()?;
            check_plain(&content, file.location())?;
            let stored = TextFile::open(session, content, file.location(), format, &options.csv)?;
            Ok(Some(stored.source_schema()))
        }
        Format::Csv | Format::Json | Format::Arrow | Format::ArrowStream | Format::Delta => Ok(None),
    };
    look_again(session, describe).map_err(|e: Error| e.with_missing("target", target))
}
