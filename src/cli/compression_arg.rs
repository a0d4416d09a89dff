//! `--compression` of a write. Typed, it is for whatever is written; from a variable or `keyfold.toml` it is for Parquet,
//! of which such settings always were: they must not compress a text file whose name does not say so.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::cli::args::parsed;
use crate::core::format::Format;
use crate::core::options::Compression;

const ID: &str = "compression";

/// What was said, and how.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CompressionArg {
    said: Option<Compression>,
    typed: bool,
}

impl CompressionArg {
    /// What is meant for a file of `format`; `setting` is what `keyfold.toml` says.
    pub(crate) fn meant_for(
        self,
        format: Option<Format>,
        setting: Option<Compression>,
    ) -> Option<Compression> {
        let meant = self.typed || matches!(format, Some(Format::Parquet | Format::Delta) | None);
        self.said.or(setting).filter(|_| meant)
    }
}

impl Args for CompressionArg {
    fn augment_args(command: Command) -> Command {
        command.arg(
            Arg::new(ID)
                .long(ID)
                .value_name("CODEC")
                .value_parser(parsed::<Compression>)
                .env("KEYFOLD_COMPRESSION")
                .hide_env_values(true)
                .help(
                    "Compression: zstd:9, snappy, none, … for Parquet, lz4 or zstd for Arrow, the level of .gz or .zst \
                     [default: zstd:3 for Parquet, else as the name says]",
                ),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CompressionArg {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = matches.value_source(ID) == Some(ValueSource::CommandLine);
        Ok(Self { said: matches.get_one(ID).copied(), typed })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
