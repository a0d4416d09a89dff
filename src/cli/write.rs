//! `keyfold write`: writes the rows of files to another file, or to standard output.

use std::io::Read;
use std::path::Path;
use std::time::Instant;

use clap::Args;
use strum::VariantNames;

use crate::cli::Context;
use crate::cli::args::{self, ReportFormat, SourceArgs, TargetArgs};
use crate::cli::column_types::ColumnTypes;
use crate::cli::compression_arg::CompressionArg;
use crate::cli::name::Name;
use crate::cli::output::{emit, json_line, print_report};
use crate::cli::progress::Progress;
use crate::cli::read::reader;
use crate::cli::rows::{self, NonFinite};
use crate::cli::settings::Settings;
use crate::cli::stdin::Sources;
use crate::cli::summary;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::{CsvOptions, ReadOptions, WriteMode, WriteOptions};
use crate::core::report::millis;
use crate::core::text_codec::TextCodec;
use crate::error::{Error, ErrorKind, Result};
use crate::factory::Backend;
use crate::interfaces::Frame;
use crate::ops::DataReaderWriter;

const EXAMPLES: &str = "\
EXAMPLES:
  cd examples/data
  keyfold write orders.csv /tmp/o.parquet
  keyfold write orders.csv /tmp/o.parquet --mode overwrite --compression zstd:9
  keyfold write changes.csv /tmp/o.parquet --mode append
  keyfold write orders.csv /tmp/o.json.gz
  keyfold write orders.csv - --target-format ndjson
  cat orders.csv | keyfold write - - --target-format parquet > /tmp/p.parquet";

/// Write the rows of files to another file
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WriteArgs {
    /// Files or glob patterns of one format and the same columns (in NDJSON, of any keys); - is standard input
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<Name>,

    /// File to write; - prints the rows instead of a report
    #[arg(required = true, value_name = "TARGET")]
    target: Name,

    /// What to do if the target exists [default: error]
    #[arg(long, value_name = "MODE", value_parser = args::one_of::<WriteMode>(WriteMode::VARIANTS))]
    mode: Option<WriteMode>,

    #[command(flatten)]
    compression: CompressionArg,

    /// Rows in a Parquet row group, at most [default: 262144]
    #[arg(long, value_name = "N")]
    row_group_rows: Option<usize>,

    /// Engine that reads the sources [default: polars]
    #[arg(long, value_name = "NAME", value_parser = args::backend(), ignore_case = true)]
    #[arg(env = "KEYFOLD_BACKEND", hide_env_values = true)]
    backend: Option<Backend>,

    /// Print the report as text or as one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,

    /// Read these columns as these types: `order_id:string,total:decimal(10,2)`
    #[arg(long, value_name = "COL:TYPE,…", value_parser = args::parsed::<ColumnTypes>)]
    schema: Option<ColumnTypes>,

    #[command(flatten)]
    source_layout: SourceArgs,

    #[command(flatten)]
    target_layout: TargetArgs,
}

/// What will be written.
#[derive(Debug)]
pub(crate) struct WritePlan {
    sources: Vec<Name>,
    read: ReadOptions,
    write: WriteOptions,
    target: Target,
    backend: Option<Backend>,
    output: ReportFormat,
}

#[derive(Debug, PartialEq, Eq)]
enum Target {
    File(Name),
    /// Plain text goes out as it is made; everything else is made in a file first.
    StandardOutput {
        format: Format,
        plain: bool,
        terminal: bool,
    },
}

pub(crate) fn plan(args: WriteArgs, settings: &Settings, terminal: bool) -> Result<WritePlan> {
    args::check_sources(&args.sources)?;
    let (format, name) = target_format(&args);
    let compression = args.compression.meant_for(format, settings.compression);
    let codec = format.map(|format| TextCodec::for_target(&name, format, compression)).transpose()?;
    let target = target(&args, codec.unwrap_or(TextCodec::None), terminal)?;
    let defaults = WriteOptions::default();
    let write = WriteOptions {
        format: args.target_layout.target_format,
        mode: args.mode.unwrap_or_default(),
        compression,
        row_group_rows: args.row_group_rows.unwrap_or(defaults.row_group_rows),
        csv: args.target_layout.csv(&args.source_layout.csv),
        partition_by: args.target_layout.partition_by.clone(),
        deletion_vectors: args.target_layout.deletion_vectors,
        bloom_filter: args.target_layout.bloom_filter.clone(),
        mkdir: args.target_layout.mkdir,
    };
    let read = args.source_layout.options(args.schema);
    read.validate()?;
    write.validate()?;
    Ok(WritePlan {
        sources: args.sources,
        read,
        write,
        target,
        backend: args.backend.or(settings.backend),
        output: args.output.or(settings.output).unwrap_or_default(),
    })
}

/// The format as far as it is known before the target is looked at, and the name that goes with it.
fn target_format(args: &WriteArgs) -> (Option<Format>, String) {
    let said = args.target_layout.target_format;
    if args.target.is_standard() {
        return (said.or(Some(Format::Csv)), String::new());
    }
    // What is no location is refused when it is opened.
    let name = args.target.as_ref().parse::<Location>().map(|location| location.name()).unwrap_or_default();
    (said.or_else(|| Format::from_name(&name)), name)
}

fn target(args: &WriteArgs, codec: TextCodec, terminal: bool) -> Result<Target> {
    if !args.target.is_standard() {
        return Ok(Target::File(args.target.clone()));
    }
    let usage = |message: &'static str| Error::new(ErrorKind::Usage, message);
    if args.mode.is_some() {
        return Err(usage("a mode needs a file").hint("leave --mode out, or name a file instead of -"));
    }
    let format = args.target_layout.target_format.unwrap_or(Format::Csv);
    if format == Format::Delta {
        return Err(usage("a table is many files, and standard output is one")
            .hint("name a folder instead of -, or choose another --target-format"));
    }
    let plain = format.is_text() && codec == TextCodec::None;
    if terminal && !plain {
        return Err(usage("this format is nothing to show on a terminal")
            .with("format", format)
            .hint("send standard output to a file, or choose --target-format csv without --compression"));
    }
    Ok(Target::StandardOutput { format, plain, terminal })
}

pub(crate) async fn run(plan: WritePlan, context: &Context) -> Result<()> {
    tracing::debug!(?plan, "write");
    let started = Instant::now();
    let session = &context.session;
    let sources = Sources::open(plan.sources, context).await?;
    let data = reader(plan.backend, session)?;
    let progress = match plan.target {
        Target::StandardOutput { terminal: true, .. } => Progress::none(),
        _ => Progress::show(session),
    };
    let frame = data.read_opts(sources.names(), plan.read).await?;
    match plan.target {
        Target::File(target) => {
            let mut report = data.write_opts(frame, target.as_ref(), plan.write).await?;
            report.elapsed_ms = millis(started.elapsed());
            drop(progress);
            let text = match plan.output {
                ReportFormat::Text => summary::write(&report),
                ReportFormat::Json => json_line(&report)?,
            };
            let done = if report.written { "the file is written" } else { "the file was left alone" };
            print_report(&text, done)
        }
        Target::StandardOutput { format, plain: true, .. } => {
            let delimiter = plan.write.csv.delimiter_for("-");
            let csv = CsvOptions { delimiter: Some(delimiter), ..plan.write.csv };
            rows::print_text(frame, format, &csv, NonFinite::Refused, session).await
        }
        Target::StandardOutput { format, .. } => {
            print_file(&data, frame, plan.write.with_format(format), session).await
        }
    }
}

/// Makes a file aside and sends it to standard output.
async fn print_file(
    data: &DataReaderWriter,
    frame: Frame,
    options: WriteOptions,
    session: &Session,
) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("keyfold-stdout-").tempdir().map_err(|cause| {
        Error::io("cannot make a temporary folder", cause).with("folder", std::env::temp_dir().display())
    })?;
    let path = folder.path().join("rows");
    data.write_opts(frame, &path.to_string_lossy(), options).await?;
    session.run(move |session| send(&path, session)).await
}

fn send(path: &Path, session: &Session) -> Result<()> {
    let failed = |cause| Error::io("cannot read a temporary file", cause).with("file", path.display());
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut buffer = vec![0; 1024 * 1024];
    loop {
        session.check()?;
        let length = file.read(&mut buffer).map_err(failed)?;
        if length == 0 || emit(&buffer[..length])?.is_break() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::core::options::Compression;
    use clap::Parser;

    fn planned(arguments: &str, terminal: bool) -> Result<WritePlan> {
        let arguments = "keyfold write a.csv".split(' ').chain(arguments.split(' '));
        let Command::Write(args) = Cli::try_parse_from(arguments).expect("parses").command else {
            unreachable!("a write")
        };
        plan(*args, &Settings::default(), terminal)
    }

    #[test]
    fn standard_output_is_csv_unless_told_otherwise() {
        let target = |arguments, terminal| planned(arguments, terminal).map(|plan| plan.target).ok();
        let out = |format: Format, terminal| {
            Some(Target::StandardOutput { format, plain: format.is_text(), terminal })
        };
        assert_eq!(target("b.parquet", true), Some(Target::File("b.parquet".to_owned().into())));
        assert_eq!(target("-", true), out(Format::Csv, true));
        assert_eq!(target("- --target-format ndjson", true), out(Format::Ndjson, true));
        assert_eq!(target("- --target-format parquet", false), out(Format::Parquet, false));
    }

    #[test]
    fn bytes_are_kept_off_a_terminal_and_modes_off_standard_output() {
        for (arguments, terminal) in [
            ("- --target-format parquet", true),
            ("- --target-format arrow", true),
            ("- --compression gzip", true),
            ("- --mode append", false),
            ("- --target-format delta", false),
        ] {
            let error = planned(arguments, terminal).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Usage, "{arguments}");
        }
    }

    #[test]
    fn a_compression_that_is_typed_is_for_every_format_and_a_setting_for_parquet() {
        let settings = Settings { compression: Some(Compression::Zstd(9)), ..Settings::default() };
        let meant = |arguments: &str, settings: &Settings| {
            let arguments = "keyfold write a.csv".split(' ').chain(arguments.split(' '));
            let Command::Write(args) = Cli::try_parse_from(arguments).expect("parses").command else {
                unreachable!("a write")
            };
            plan(*args, settings, false).map(|plan| plan.write.compression).map_err(|error| error.kind())
        };
        assert_eq!(meant("b.parquet", &settings), Ok(Some(Compression::Zstd(9))));
        assert_eq!(meant("b.parquet --compression lz4", &settings), Ok(Some(Compression::Lz4)));
        for name in ["b.csv", "b.csv.gz", "b.arrow", "-"] {
            assert_eq!(meant(name, &settings), Ok(None), "{name}");
        }
        assert_eq!(meant("b.csv.gz --compression gzip:9", &settings), Ok(Some(Compression::Gzip(9))));
        for wrong in ["b.csv.gz --compression zstd", "b.csv --compression snappy", "b.parquet.gz"] {
            assert_eq!(meant(wrong, &settings), Err(ErrorKind::Usage), "{wrong}");
        }
    }

    #[test]
    fn an_existing_target_is_an_error_by_default() {
        assert_eq!(planned("b.csv", false).expect("plans").write.mode, WriteMode::Error);
        assert_eq!(planned("b.csv --mode ignore", false).expect("plans").write.mode, WriteMode::Ignore);
        assert!(planned("b.parquet --row-group-rows 0", false).is_err());
    }
}
