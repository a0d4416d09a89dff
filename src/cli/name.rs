//! A source or a target as it was typed, which may be a URL with a secret in it.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::core::location::Location;

/// A path or a URL, or `-`. It can be taken, and looked at without what may be a secret; it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// Whether standard input or output is meant.
    pub(crate) fn is_standard(&self) -> bool {
        self.0 == "-"
    }
}

impl From<String> for Name {
    fn from(typed: String) -> Self {
        Self(typed)
    }
}

impl FromStr for Name {
    type Err = Infallible;

    fn from_str(typed: &str) -> Result<Self, Self::Err> {
        Ok(Self(typed.to_owned()))
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// As a location prints: without user information and query.
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.parse::<Location>() {
            Ok(location) => write!(f, "{location}"),
            Err(_) => f.write_str("(no location)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_does_not_print() {
        let debug = |typed: &str| format!("{:?}", Name::from(typed.to_owned()));
        assert_eq!(debug("https://user:canary@host/a.csv?sig=canary#canary"), "https://host/a.csv");
        assert_eq!(debug("ftp://user:canary@host/a.csv"), "(no location)");
        assert_eq!(debug("data/a.csv"), "data/a.csv");
    }

    #[test]
    fn a_dash_is_a_standard_stream_and_a_file_of_that_name_is_not() {
        assert!(Name::from("-".to_owned()).is_standard());
        assert!(!Name::from("./-".to_owned()).is_standard());
    }
}
