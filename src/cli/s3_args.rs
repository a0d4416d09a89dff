//! How S3 is reached, as flags of every command: they are made from the one list of settings.

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind as ClapKind;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::client::s3_settings::{S3Settings, Setting};

const HEADING: &str = "S3 options";

/// Shown by `-h` as well; the others by `--help`.
const MAIN: [&str; 4] = ["endpoint_url", "region", "profile", "allow_http"];

/// What was said by flags.
#[derive(Debug, Clone, Default)]
pub(crate) struct S3Args(pub(crate) S3Settings);

fn argument(setting: &Setting) -> Arg {
    // Backticks are for documentation that is rendered.
    let doc = setting.doc.lines().map(str::trim).collect::<Vec<_>>().join(" ").replace('`', "");
    let help = format!("{} [env: {}]", doc.trim().trim_end_matches('.'), setting.variables.join(", "));
    let argument = Arg::new(setting.name)
        .long(setting.flag())
        .help(help)
        .help_heading(HEADING)
        .global(true)
        .hide_short_help(!MAIN.contains(&setting.name));
    match setting.value_name {
        Some(name) => argument.value_name(name),
        None => argument
            .value_name("BOOL")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide_possible_values(true)
            .value_parser(BoolishValueParser::new()),
    }
}

impl Args for S3Args {
    fn augment_args(command: Command) -> Command {
        command.args(S3Settings::ALL.iter().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for S3Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in S3Settings::ALL {
            let said = match setting.value_name {
                Some(_) => matches.get_one::<String>(setting.name).cloned(),
                None => matches.get_one::<bool>(setting.name).map(bool::to_string),
            };
            if let Some(said) = said {
                self.0
                    .set(setting.name, &said)
                    .map_err(|error| clap::Error::raw(ClapKind::ValueValidation, format!("{error}\n")))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use clap::Parser;

    fn parsed(arguments: &str) -> S3Settings {
        let arguments = ["keyfold", "ls"].into_iter().chain(arguments.split(' '));
        Cli::try_parse_from(arguments).expect("parses").common.s3.0
    }

    #[test]
    fn every_setting_has_a_flag() {
        let settings =
            parsed("s3://a --region eu-west-1 --allow-http --path-style=false --session-token canary");
        assert_eq!(settings.region.as_deref(), Some("eu-west-1"));
        assert_eq!((settings.allow_http, settings.path_style), (Some(true), Some(false)));
        assert!(settings.session_token.is_some());
        assert!(!format!("{settings:?}").contains("canary"));
    }

    #[test]
    fn flags_may_stand_before_the_command() {
        let typed = ["keyfold", "--endpoint-url", "http://localhost:9000", "ls"];
        let settings = Cli::try_parse_from(typed).expect("parses").common.s3.0;
        assert_eq!(settings.endpoint_url.as_deref(), Some("http://localhost:9000"));
    }
}
