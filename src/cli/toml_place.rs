//! Where in a TOML file something stands, as editors count.

use crate::error::Error;

/// A line and a column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// The place of a byte of the text.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let last = before.rsplit('\n').next().unwrap_or_default();
        Self { line: 1 + before.matches('\n').count(), column: 1 + last.chars().count() }
    }

    /// The error with this place.
    pub(crate) fn told(self, error: Error) -> Error {
        error.with("line", self.line).with("column", self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_from_one_and_in_characters() {
        let text = "a = 1\nü = \"é\"\n";
        let place = |offset| Place::of(text, offset);
        assert_eq!(place(0), Place { line: 1, column: 1 });
        assert_eq!(place(text.find('é').expect("there")), Place { line: 2, column: 6 });
        assert_eq!(place(text.len()), Place { line: 3, column: 1 });
        assert_eq!(place(text.len() + 9), Place { line: 3, column: 1 });
    }
}
