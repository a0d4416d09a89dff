//! Casts that lose nothing: every value at hand survives, or the cast is refused.
//!
//! Lossless is judged by value, not by type: an int64 column whose values fit is a fine int32 column.
//! Arrow's own casts round, truncate and wrap, so each is checked by casting back.

mod lenient;
mod nested;
mod number;
mod temporal;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;

use crate::core::text::{BadCell, TextRules, instant, names_no_instant, parse, print};

pub(crate) use lenient::{by_rules, located, or_null};

/// Why a column cannot be cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CastRefused {
    /// A value does not survive.
    Lossy(BadCell),
    /// One side is a timestamp with a zone, the other one without.
    Zone,
    /// A local time is none of the zone that was named, or there are two of it.
    Local(BadCell),
    /// No value of the one type is one of the other.
    Types,
}

type Cast = Result<ArrayRef, CastRefused>;

/// Casts `values` to `to` if every value survives.
///
/// Numbers survive by value, timestamps as instants, lists, structs (fields by name) and maps by what is
/// in them; a map is the list of its entries, too. NaN is NaN. Strings become any type that they are the text of, but nothing becomes a string: that
/// would always work, and hide a mistake.
pub(crate) fn exact(values: &ArrayRef, to: &DataType) -> Cast {
    use DataType as D;
    let from = values.data_type();
    match (from, to) {
        _ if from == to => Ok(Arc::clone(values)),
        (D::Null, _) => Ok(new_null_array(to, values.len())),
        (_, D::Null) => nothing(values),
        (D::Dictionary(..), _) => exact(&decoded(values)?, to),
        (_, D::Dictionary(_, inner)) => cast(&exact(values, inner)?, to).map_err(|_| CastRefused::Types),
        _ if from.is_string() && to.is_string() => cast(values, to).map_err(|_| CastRefused::Types),
        _ if from.is_string() => text(values, to, &TextRules::default()),
        _ if from.is_binary() && to.is_binary() => binary(values, to),
        _ if number::is_number(from) && number::is_number(to) => number::exact(values, to),
        _ if from.is_nested() && to.is_nested() => nested::exact(values, to),
        _ => temporal::exact(values, to),
    }
}

fn nothing(values: &ArrayRef) -> Cast {
    let nulls = values.logical_nulls();
    let valid = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
    match (0..values.len()).find(valid) {
        None => Ok(new_null_array(&DataType::Null, values.len())),
        Some(row) => Err(lossy(values, row)),
    }
}

fn decoded(values: &ArrayRef) -> Cast {
    let dictionary = values.as_any_dictionary();
    take(dictionary.values(), dictionary.keys(), None).map_err(|_| CastRefused::Types)
}

fn text(values: &ArrayRef, to: &DataType, rules: &TextRules) -> Cast {
    if to.is_nested() {
        return Err(CastRefused::Types);
    }
    let strings = cast(values, &DataType::Utf8).map_err(|_| CastRefused::Types)?;
    parse(strings.as_string(), to, rules).map_err(|bad| match (to, instant(&bad.value)) {
        (DataType::Timestamp(_, Some(_)), _) if names_no_instant(&bad.value, rules) => {
            CastRefused::Local(bad)
        }
        (DataType::Timestamp(_, Some(_)), Some((_, false))) if rules.zone.is_some() => {
            CastRefused::Lossy(bad)
        }
        (DataType::Timestamp(_, zone), Some((_, zoned))) if zone.is_some() != zoned => CastRefused::Zone,
        _ => CastRefused::Lossy(bad),
    })
}

fn binary(values: &ArrayRef, to: &DataType) -> Cast {
    // Arrow knows no cast between widths, and makes null of a value that does not fit one.
    let via = cast(values, &DataType::LargeBinary).map_err(|_| CastRefused::Types)?;
    let bytes = via.as_binary::<i64>();
    if let DataType::FixedSizeBinary(width) = to {
        let misfit =
            |row: &usize| bytes.is_valid(*row) && i32::try_from(bytes.value(*row).len()) != Ok(*width);
        if let Some(row) = (0..bytes.len()).find(misfit) {
            return Err(lossy(values, row));
        }
    }
    cast(&via, to).map_err(|_| CastRefused::Types)
}

/// Refuses the cast for the value at `row`.
fn lossy(values: &ArrayRef, row: usize) -> CastRefused {
    CastRefused::Lossy(value_at(values, row))
}

/// The value at `row` as people read it.
fn value_at(values: &ArrayRef, row: usize) -> BadCell {
    let printed = print(values.slice(row, 1).as_ref()).ok().filter(|text| text.is_valid(0));
    let value = match printed {
        Some(text) => text.value(0).to_owned(),
        None => array_value_to_string(values, row).unwrap_or_default(),
    };
    BadCell { row, value }
}

/// The first row that is null in `after` and is not in `before`.
fn lost(before: &ArrayRef, after: &ArrayRef) -> Option<usize> {
    if before.null_count() == after.null_count() {
        return None;
    }
    (0..before.len()).find(|row| before.is_valid(*row) && after.is_null(*row))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use arrow::array::{BinaryArray, BooleanArray, DictionaryArray, Int64Array, NullArray, StringArray};
    use arrow::datatypes::{Int8Type, TimeUnit};

    pub(in crate::core::cast) fn arc(values: impl Array + 'static) -> ArrayRef {
        Arc::new(values)
    }

    /// Casts, expects the type asked for, and casts back to the same.
    pub(in crate::core::cast) fn survives(values: &ArrayRef, to: &DataType) -> ArrayRef {
        let there = exact(values, to).expect("survives");
        assert_eq!(there.data_type(), to);
        let back = exact(&there, values.data_type()).expect("comes back");
        assert_eq!(back.to_data(), values.to_data());
        there
    }

    pub(in crate::core::cast) fn refused(values: &ArrayRef, to: &DataType, row: usize, value: &str) {
        let bad = BadCell { row, value: value.to_owned() };
        assert_eq!(exact(values, to), Err(CastRefused::Lossy(bad)), "{to}");
    }

    pub(in crate::core::cast) fn wrong_types(values: &ArrayRef, to: &DataType) {
        assert_eq!(exact(values, to), Err(CastRefused::Types), "{to}");
    }

    #[test]
    fn strings_change_their_kind() {
        let strings = arc(StringArray::from(vec![Some("a"), None, Some("")]));
        survives(&strings, &DataType::LargeUtf8);
        survives(&strings, &DataType::Utf8View);
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::LargeUtf8));
        survives(&strings, &dictionary);
    }

    #[test]
    fn a_dictionary_is_its_values() {
        let keys: DictionaryArray<Int8Type> = vec![Some("5"), None, Some("5")].into_iter().collect();
        let numbers = exact(&arc(keys.clone()), &DataType::Int32).expect("numbers");
        assert_eq!(numbers.as_primitive::<arrow::datatypes::Int32Type>().value(2), 5);
        let other = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8View));
        survives(&arc(keys), &other);
    }

    #[test]
    fn a_dictionary_with_too_few_keys_is_refused() {
        let many = arc(StringArray::from_iter_values((0..200).map(|i| i.to_string())));
        wrong_types(&many, &DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)));
    }

    #[test]
    fn strings_become_what_they_are_the_text_of() {
        let strings = arc(StringArray::from(vec![None, Some("007"), Some("x")]));
        assert_eq!(exact(&strings.slice(0, 2), &DataType::Int8).expect("parses").null_count(), 1);
        refused(&strings, &DataType::Int8, 2, "x");
        wrong_types(&strings, &DataType::new_list(DataType::Int8, true));
        let naive = arc(StringArray::from(vec!["2021-05-22T02:51:15"]));
        let utc = DataType::Timestamp(TimeUnit::Second, Some("UTC".into()));
        assert_eq!(exact(&naive, &utc), Err(CastRefused::Zone));
    }

    #[test]
    fn nothing_becomes_a_string_or_a_boolean() {
        let numbers = arc(Int64Array::from(vec![1]));
        let binary = arc(BinaryArray::from(vec![b"a".as_slice()]));
        for to in [DataType::Utf8, DataType::Utf8View, DataType::Boolean] {
            wrong_types(&numbers, &to);
            wrong_types(&binary, &to);
        }
        wrong_types(&arc(BooleanArray::from(vec![true])), &DataType::Int64);
        wrong_types(&numbers, &DataType::Date32);
        wrong_types(&numbers, &DataType::Timestamp(TimeUnit::Second, None));
    }

    #[test]
    fn nulls_are_of_every_type() {
        let nulls = arc(NullArray::new(2));
        for to in [DataType::Int8, DataType::Utf8, DataType::new_list(DataType::Int8, true)] {
            survives(&nulls, &to);
        }
        refused(&arc(Int64Array::from(vec![None, Some(5)])), &DataType::Null, 1, "5");
    }

    #[test]
    fn binary_fits_a_width_or_not() {
        let binary = arc(BinaryArray::from(vec![Some(b"abc".as_slice()), None]));
        for to in [DataType::FixedSizeBinary(3), DataType::BinaryView, DataType::LargeBinary] {
            survives(&binary, &to);
        }
        refused(&binary, &DataType::FixedSizeBinary(4), 0, "abc");
    }
}
