//! What the process was told by its environment, taken once: nothing deeper reads process globals, so that tests
//! run side by side.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

/// The `AWS_*` variables and the home folder.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    vars: BTreeMap<String, SecretString>,
    home: Option<PathBuf>,
}

/// Names only: values may be keys.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.vars.keys()).finish()
    }
}

impl Environment {
    #[cfg(test)]
    pub(crate) fn new<'a>(vars: impl IntoIterator<Item = (&'a str, &'a str)>, home: Option<PathBuf>) -> Self {
        let vars = vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned().into())).collect();
        Self { vars, home }
    }

    /// That of this process. What is not Unicode cannot be one of the values looked for.
    pub(crate) fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let vars = std::env::vars_os()
            .filter_map(text)
            .filter(|(name, _)| name.starts_with("AWS_"))
            .map(|(name, value)| (name, value.into()))
            .collect();
        Self { vars, home: std::env::home_dir() }
    }

    /// The value of a variable; an empty one counts as unset.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(ExposeSecret::expose_secret).filter(|value| !value.is_empty())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A file in `~/.aws`, or where `variable` says it is.
    pub(super) fn aws_file(&self, variable: &str, name: &str) -> Option<PathBuf> {
        match self.get(variable) {
            Some(path) => Some(self.path(path)),
            None => Some(self.in_home(".aws")?.join(name)),
        }
    }

    pub(super) fn in_home(&self, path: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(path))
    }

    /// A path as people write it, with `~` for the home folder.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_do_not_print() {
        let environment = Environment::new([("AWS_SECRET_ACCESS_KEY", "canary")], None);
        assert_eq!(format!("{environment:?}"), r#"{"AWS_SECRET_ACCESS_KEY"}"#);
    }

    #[test]
    fn a_file_is_in_the_home_folder_unless_a_variable_says_otherwise() {
        let home = Some(PathBuf::from("/home/ada"));
        let file = |vars: &[(&'static str, &'static str)]| {
            Environment::new(vars.iter().copied(), home.clone()).aws_file("AWS_CONFIG_FILE", "config")
        };
        assert_eq!(file(&[]), Some("/home/ada/.aws/config".into()));
        assert_eq!(file(&[("AWS_CONFIG_FILE", "~/c")]), Some("/home/ada/c".into()));
        assert_eq!(file(&[("AWS_CONFIG_FILE", "")]), Some("/home/ada/.aws/config".into()));
    }
}
