//! The flags of a rule, as values: files of rules, their check and their schema are made from them, so that a flag needs to be
//! written down once, in [`RuleArgs`].

use std::any::TypeId;

use clap::{Arg, ArgAction, Args, Command};

use crate::cli::rule_args::RuleArgs;

/// The flags of a rule as a command of their own.
pub(crate) fn definition() -> Command {
    let command =
        Command::new("rule").no_binary_name(true).disable_help_flag(true).disable_version_flag(true);
    RuleArgs::augment_args(command)
}

/// One flag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag<'a>(&'a Arg);

/// What stands behind a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing: it is said, or not.
    Nothing,
    /// One of these words.
    OneOf(Vec<String>),
    /// Any text.
    Text,
    /// Text with a grammar of its own, which a number may fit.
    Other,
}

impl<'a> Flag<'a> {
    pub(crate) fn all(definition: &'a Command) -> impl Iterator<Item = Self> {
        definition.get_arguments().filter(|argument| argument.get_long().is_some()).map(Self)
    }

    /// Its long name, without the dashes in front.
    pub(crate) fn name(self) -> &'a str {
        self.0.get_long().unwrap_or_default()
    }

    /// Under which clap knows it.
    pub(crate) fn id(self) -> &'a str {
        self.0.get_id().as_str()
    }

    pub(crate) fn help(self) -> String {
        self.0.get_help().map(ToString::to_string).unwrap_or_default()
    }

    pub(crate) fn takes(self) -> Takes {
        if !self.0.get_action().takes_values() {
            return Takes::Nothing;
        }
        let words: Vec<String> =
            self.0.get_possible_values().iter().map(|word| word.get_name().to_owned()).collect();
        if !words.is_empty() {
            Takes::OneOf(words)
        } else if self.0.get_value_parser().type_id() == TypeId::of::<String>() {
            Takes::Text
        } else {
            Takes::Other
        }
    }

    /// Whether it takes several values.
    pub(crate) fn is_list(self) -> bool {
        matches!(self.0.get_action(), ArgAction::Append)
    }

    /// The values in a text that follows the flag.
    pub(crate) fn split(self, text: &str) -> Vec<String> {
        match self.0.get_value_delimiter() {
            Some(delimiter) => text.split(delimiter).map(ToOwned::to_owned).collect(),
            None => vec![text.to_owned()],
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Flags of every kind, also those that no rule has yet.
    pub(crate) fn of_every_kind() -> Command {
        Command::new("rule")
            .no_binary_name(true)
            .disable_help_flag(true)
            .arg(Arg::new("columns").long("columns").value_delimiter(',').action(ArgAction::Append))
            .arg(Arg::new("policy").long("policy").action(ArgAction::Append))
            .arg(Arg::new("who").long("who").value_parser(["stored", "incoming"]).help("Who wins"))
            .arg(Arg::new("max_delete").long("max-delete").value_parser(clap::value_parser!(u8)))
            .arg(Arg::new("allow_empty").long("allow-empty").action(ArgAction::SetTrue))
    }

    #[test]
    fn what_a_flag_takes_is_known_from_its_definition() {
        let definition = of_every_kind();
        let kinds: Vec<_> =
            Flag::all(&definition).map(|flag| (flag.name(), flag.takes(), flag.is_list())).collect();
        let words = ["stored", "incoming"].map(ToOwned::to_owned).to_vec();
        let expected = [
            ("columns", Takes::Text, true),
            ("policy", Takes::Text, true),
            ("who", Takes::OneOf(words), false),
            ("max-delete", Takes::Other, false),
            ("allow-empty", Takes::Nothing, false),
        ];
        assert_eq!(kinds, expected);
    }
}
