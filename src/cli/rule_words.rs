//! A rule in words: those that were typed, over those of a file. Together they are parsed as if all of them had been typed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::cli::failure::usage_message;
use crate::cli::rule_args::RuleArgs;
use crate::cli::rule_file;
use crate::cli::rule_flags::{Flag, Takes, definition};
use crate::cli::toml_place::Place;
use crate::core::merge::MergeRule;
use crate::core::options::IfMissing;
use crate::error::{Error, ErrorKind, Result};

/// A flag that is said, and its values; none if it takes none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) flag: String,
    pub(crate) values: Vec<OsString>,
    /// Where a file says it; `None` if it was typed.
    pub(crate) place: Option<Place>,
}

impl Word {
    /// As it is typed. A value stands in the argument of its flag, so that it may begin with a dash.
    fn arguments(&self) -> Vec<OsString> {
        let flag = OsString::from(format!("--{}", self.flag));
        let with = |value: &OsString| {
            let mut argument = flag.clone();
            argument.push("=");
            argument.push(value);
            argument
        };
        if self.values.is_empty() { vec![flag] } else { self.values.iter().map(with).collect() }
    }
}

/// Parses words by a definition of flags. Values are not split any more, and variables not asked: words have what they say.
pub(crate) fn parse(definition: &Command, words: &[Word]) -> Result<ArgMatches, clap::Error> {
    let literal = |argument: Arg| argument.value_delimiter(Resettable::Reset).env(Resettable::Reset);
    let definition = definition.clone().mut_args(literal);
    definition.try_get_matches_from(words.iter().flat_map(Word::arguments))
}

/// What was typed of a rule.
#[derive(Debug)]
pub(crate) struct TypedRule(Vec<Word>);

impl Args for TypedRule {
    fn augment_args(command: Command) -> Command {
        RuleArgs::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for TypedRule {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(typed(&definition(), matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The words of `definition` among what was typed, or said by a variable.
fn typed(definition: &Command, matches: &ArgMatches) -> Vec<Word> {
    let is_said = |flag: &Flag| {
        matches!(matches.value_source(flag.id()), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let word = |flag: Flag| {
        let raw = matches.get_raw(flag.id()).into_iter().flatten().map(ToOwned::to_owned);
        let values = if flag.takes() == Takes::Nothing { Vec::new() } else { raw.collect() };
        Word { flag: flag.name().to_owned(), values, place: None }
    };
    Flag::all(definition).filter(is_said).map(word).collect()
}

/// A whole rule in words.
#[derive(Debug)]
pub(crate) struct RuleWords {
    words: Vec<Word>,
    file: Option<PathBuf>,
}

impl RuleWords {
    /// What was typed, and what the file says where nothing was.
    ///
    /// # Errors
    ///
    /// `Usage` if the file cannot be read, or says what no rule can.
    pub(crate) fn new(typed: &TypedRule, file: Option<&Path>) -> Result<Self> {
        let definition = definition();
        let in_file = match file {
            Some(path) => rule_file::read(path, &definition)?,
            None => Vec::new(),
        };
        Ok(Self { words: over(&definition, &typed.0, &in_file), file: file.map(Path::to_owned) })
    }

    /// Flags that are said and their values, in the order of their definition.
    pub(crate) fn said(&self) -> impl Iterator<Item = (&str, &[OsString])> {
        self.words.iter().map(|word| (word.flag.as_str(), word.values.as_slice()))
    }

    /// The rule, and what is done if there is no target.
    ///
    /// # Errors
    ///
    /// `Usage` for words that do not fit together.
    pub(crate) fn rule(&self) -> Result<(MergeRule, IfMissing)> {
        let args = parse(&definition(), &self.words)
            .and_then(|matches| RuleArgs::from_arg_matches(&matches))
            .map_err(|error| self.placed(Error::new(ErrorKind::Usage, usage_message(&error.to_string()))))?;
        let if_missing = args.if_missing();
        let rule = args.rule().map_err(|error| self.placed(error))?;
        Ok((rule, if_missing))
    }

    /// The error with the file, and with the place of the flag that it is about.
    fn placed(&self, error: Error) -> Error {
        let Some(path) = &self.file else { return error };
        let flag = error.context().find(|(name, _)| *name == "flag").map(|(_, flag)| flag.to_owned());
        let word = flag.and_then(|flag| self.words.iter().find(|word| flag == format!("--{}", word.flag)));
        let error = match word.and_then(|word| word.place) {
            Some(place) => place.told(error),
            None => error,
        };
        error.with("file", path.display())
    }
}

/// One word per flag: the typed one, if there is one.
fn over(definition: &Command, typed: &[Word], in_file: &[Word]) -> Vec<Word> {
    let find = |words: &[Word], flag: Flag| words.iter().find(|word| word.flag == flag.name()).cloned();
    Flag::all(definition).filter_map(|flag| find(typed, flag).or_else(|| find(in_file, flag))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::rule_flags::tests::of_every_kind;

    /// The words of a command line.
    fn of_flags(definition: &Command, arguments: &[String]) -> Vec<Word> {
        typed(definition, &definition.clone().try_get_matches_from(arguments).expect("flags"))
    }

    /// The words of a file, without their places.
    fn of_text(definition: &Command, text: &str) -> Vec<Word> {
        let words = rule_file::words(text, definition).expect("a rule");
        words.into_iter().map(|word| Word { place: None, ..word }).collect()
    }

    /// Each way to say a flag, as it is typed and as a file has it.
    fn samples(flag: Flag) -> Vec<(Vec<String>, String)> {
        let (name, key) = (flag.name(), flag.name().replace('-', "_"));
        let values = match flag.takes() {
            Takes::Nothing => return vec![(vec![format!("--{name}")], format!("{key} = true"))],
            Takes::OneOf(words) => words,
            Takes::Text | Takes::Other => match name {
                "delete-where" | "scope" | "set" => vec!["a = 'D'".to_owned(), "b = 8".to_owned()],
                "policy" => vec!["a=max".to_owned(), "b=keep-if-null".to_owned()],
                "rename" => vec!["a=b".to_owned(), "c=d".to_owned()],
                "naive-timestamps" => vec!["error".to_owned(), "assume=+02:00".to_owned()],
                _ => vec!["7".to_owned(), "8".to_owned()],
            },
        };
        let one = |value: &String| (vec![format!("--{name}={value}")], format!("{key} = {value:?}"));
        let mut samples: Vec<_> = values.iter().map(one).collect();
        if flag.is_list() {
            let typed = values.iter().map(|value| format!("--{name}={value}")).collect();
            samples.push((typed, format!("{name} = {values:?}")));
        }
        samples
    }

    #[test]
    fn each_flag_is_the_same_in_a_file() {
        for definition in [definition(), of_every_kind()] {
            for (arguments, text) in Flag::all(&definition).flat_map(samples) {
                let words = of_text(&definition, &text);
                assert_eq!(words, of_flags(&definition, &arguments), "{text}");
                assert_eq!(words.len(), 1, "{text}");
                assert!(parse(&definition, &words).is_ok(), "{text}");
            }
        }
    }

    #[test]
    fn a_text_is_split_as_behind_the_flag_and_an_array_is_not() {
        let values = |text| of_text(&definition(), text).swap_remove(0).values;
        assert_eq!(values("id = 'a,b'"), ["a", "b"]);
        assert_eq!(values("id = ['a,b', '-c']"), ["a,b", "-c"]);
    }

    #[test]
    fn what_is_typed_wins_over_the_file() {
        let definition = of_every_kind();
        let text = "columns = ['a', 'b']\nwho = 'stored'\nallow_empty = false\nmax-delete = 3";
        let in_file = of_text(&definition, text);
        let typed =
            of_flags(&definition, &["--columns=c", "--allow-empty", "--policy=x"].map(ToOwned::to_owned));
        let said = over(&definition, &typed, &in_file);
        let said: Vec<OsString> = said.iter().flat_map(Word::arguments).collect();
        let expected = ["--columns=c", "--policy=x", "--who=stored", "--max-delete=3", "--allow-empty"];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_rule_is_the_same_by_the_flags_it_names() {
        let definition = definition();
        let rule = |flags: &[String]| {
            RuleWords::new(&TypedRule(of_flags(&definition, flags)), None)?.rule().map(|(rule, _)| rule)
        };
        let base = ["--id=x,y", "--modified=at"].map(ToOwned::to_owned);
        let others = Flag::all(&definition).filter(|flag| !["id", "modified"].contains(&flag.name()));
        let ways = others.flat_map(samples).map(|(flags, _)| [&base[..], &flags].concat());
        let mut tried = 0;
        for flags in ways.chain([base[..1].to_vec()]) {
            let Ok(said) = rule(&flags) else { continue };
            let again: Vec<_> = said
                .flags()
                .iter()
                .map(
                    |(flag, value)| {
                        if value.is_empty() { (*flag).to_owned() } else { format!("{flag}={value}") }
                    },
                )
                .collect();
            assert_eq!(rule(&again).expect("a rule"), said, "{flags:?}");
            tried += 1;
        }
        assert!(tried > 15, "{tried}");
    }

    #[test]
    fn the_rule_of_a_file_is_that_of_its_flags() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rule.toml");
        let ruled = |text: &str, flags: &str| {
            std::fs::write(&path, text).expect("written");
            let flags: Vec<String> = flags.split_whitespace().map(ToOwned::to_owned).collect();
            RuleWords::new(&TypedRule(of_flags(&definition(), &flags)), Some(&path))?.rule()
        };
        let typed = |flags: &str| {
            let flags: Vec<String> = flags.split_whitespace().map(ToOwned::to_owned).collect();
            RuleWords::new(&TypedRule(of_flags(&definition(), &flags)), None)?.rule()
        };
        let text = "id = ['a', 'b']\nmodified = 'at'\nties = 'keep'\nif_missing = 'error'\n";
        let flags = "--id a,b --modified at --ties keep --if-missing error";
        assert_eq!(ruled(text, "").expect("a rule"), typed(flags).expect("a rule"));
        let (rule, if_missing) = ruled(text, "--id c --if-missing create").expect("a rule");
        assert_eq!((rule.ids(), if_missing), (&["c".to_owned()][..], IfMissing::Create));
        assert_eq!(ruled("id = ['a,b']", "").expect("a rule").0.ids(), ["a,b"]);
        let told = |text, flags| ruled(text, flags).expect_err("refused").to_string();
        let file = path.display();
        assert_eq!(
            told("# A rule.\nid = 'a'\n ties = 'keep'", ""),
            format!(
                "there is no modification column to compare (flag: --ties, line: 3, column: 2, file: {file})"
            )
        );
        assert_eq!(told("modified = 'at'\n", "--ties keep"), format!("no id column is named (file: {file})"));
        assert_eq!(
            told("id = 'a'", "--ties keep"),
            format!("there is no modification column to compare (flag: --ties, file: {file})")
        );
        assert_eq!(typed("").expect_err("refused").to_string(), "no id column is named");
    }
}
