//! Which format a file has that is to be written, and how it is compressed: known before any row is.

use crate::client::file::DataFile;
use crate::core::format::{Format, unchangeable};
use crate::core::options::WriteOptions;
use crate::core::text_codec::TextCodec;
use crate::error::{Error, ErrorKind, Result};
use crate::table::source::format_of;
use crate::table::{ipc, text};

/// The format of a file to which rows are added; it is not compressed.
///
/// # Errors
///
/// `Unsupported` if the file is of a kind that can only be written whole.
pub(super) fn appendable(file: &DataFile, options: &WriteOptions) -> Result<(Format, TextCodec)> {
    let format = format_of(file, options.format)?;
    format.check_changeable().map_err(|error| error.with("file", file.location()))?;
    let codec = match TextCodec::from_name(&file.location().name()) {
        TextCodec::None if format.is_text() => text::head(&file.read()?, TextCodec::MAGIC)?.0,
        named => named,
    };
    match codec {
        TextCodec::None => Ok((format, codec)),
        _ => Err(unchangeable().with("file", file.location()).with("compression", codec)),
    }
}

/// The format of a file that is made, and how its text is compressed.
///
/// # Errors
///
/// `Usage` if no format can be told, or for a compression that it does not know or that its name contradicts.
pub(super) fn new_format(file: &DataFile, options: &WriteOptions) -> Result<(Format, TextCodec)> {
    let name = file.location().name();
    let format = options.format.or_else(|| Format::from_name(&name)).ok_or_else(|| {
        Error::new(ErrorKind::Usage, "the format of the new file cannot be told from its name")
            .with("file", file.location())
            .hint(
                "say the format, or use the extension .parquet, .csv, .tsv, .ndjson, .json, .arrow or .arrows; text may \
                 have .gz or .zst behind it",
            )
    })?;
    if matches!(format, Format::Arrow | Format::ArrowStream) {
        ipc::check_compression(options.compression)?;
    }
    let codec = TextCodec::for_target(&name, format, options.compression);
    codec.map(|codec| (format, codec)).map_err(|error| error.with("file", file.location()))
}
