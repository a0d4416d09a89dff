//! `--schema`: types of columns as people write them, turned into an Arrow schema.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::error::{Error, ErrorKind, Result};

const KNOWN: &str = "known types: int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, \
     string, bool, date, time, timestamp, timestamp(ms), timestamp(ms, UTC), decimal(10, 2), binary";

const MAX_DECIMAL128: u8 = 38;
const MAX_DECIMAL256: u8 = 76;

/// Columns by name with the types to read them as: `order_id:string, total:decimal(10, 2)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnTypes(SchemaRef);

impl ColumnTypes {
    pub(crate) fn into_schema(self) -> SchemaRef {
        self.0
    }
}

impl FromStr for ColumnTypes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut fields: Vec<Field> = Vec::new();
        for part in split_outside_parentheses(text) {
            let field = parse_column(part.trim())?;
            if fields.iter().any(|known| known.name() == field.name()) {
                return Err(usage("a column has two types").with("column", field.name()));
            }
            fields.push(field);
        }
        Ok(Self(Arc::new(Schema::new(fields))))
    }
}

fn usage(message: &'static str) -> Error {
    Error::new(ErrorKind::Usage, message)
}

/// The parts between commas; those in `decimal(10, 2)` do not count.
fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let outside = |character: char| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        character == ',' && depth == 0
    };
    text.split(outside).collect()
}

fn parse_column(text: &str) -> Result<Field> {
    // A name may have a colon of its own, and so may a zone: `+01:00`.
    let type_start = text.rfind('(').unwrap_or(text.len());
    let (name, data_type) = match text[..type_start].rfind(':') {
        Some(colon) => (text[..colon].trim(), text[colon + 1..].trim()),
        None => ("", text),
    };
    if name.is_empty() || data_type.is_empty() {
        return Err(usage("a column type is not written as NAME:TYPE").with("found", text).hint(KNOWN));
    }
    let data_type = parse_type(data_type).map_err(|error| error.with("column", name))?;
    Ok(Field::new(name, data_type, true))
}

fn parse_type(text: &str) -> Result<DataType> {
    let unknown = || usage("unknown type").with("type", text).hint(KNOWN);
    let (name, parameters) = match text.split_once('(') {
        None => (text, Vec::new()),
        Some((name, rest)) => {
            let inner = rest.strip_suffix(')').ok_or_else(unknown)?;
            (name.trim_end(), inner.split(',').map(str::trim).collect())
        }
    };
    match (name.to_ascii_lowercase().as_str(), parameters.as_slice()) {
        ("timestamp", []) => Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("timestamp", [unit]) => Ok(DataType::Timestamp(parse_unit(unit)?, None)),
        ("timestamp", [unit, zone]) => Ok(DataType::Timestamp(parse_unit(unit)?, Some(parse_zone(zone)?))),
        ("time", [unit]) => Ok(time(parse_unit(unit)?)),
        ("decimal", [precision, scale]) => parse_decimal(precision, scale),
        (name, []) => parse_plain(name).ok_or_else(unknown),
        _ => Err(unknown()),
    }
}

fn parse_plain(name: &str) -> Option<DataType> {
    Some(match name {
        "int8" => DataType::Int8,
        "int16" => DataType::Int16,
        "int32" => DataType::Int32,
        "int64" => DataType::Int64,
        "uint8" => DataType::UInt8,
        "uint16" => DataType::UInt16,
        "uint32" => DataType::UInt32,
        "uint64" => DataType::UInt64,
        "float32" => DataType::Float32,
        "float64" => DataType::Float64,
        "string" => DataType::Utf8,
        "bool" => DataType::Boolean,
        "date" => DataType::Date32,
        "time" => time(TimeUnit::Microsecond),
        "binary" => DataType::Binary,
        _ => return None,
    })
}

/// Arrow keeps coarse times in 32 bits, fine ones in 64.
fn time(unit: TimeUnit) -> DataType {
    match unit {
        TimeUnit::Second | TimeUnit::Millisecond => DataType::Time32(unit),
        TimeUnit::Microsecond | TimeUnit::Nanosecond => DataType::Time64(unit),
    }
}

fn parse_unit(text: &str) -> Result<TimeUnit> {
    match text {
        "s" => Ok(TimeUnit::Second),
        "ms" => Ok(TimeUnit::Millisecond),
        "us" => Ok(TimeUnit::Microsecond),
        "ns" => Ok(TimeUnit::Nanosecond),
        _ => Err(usage("unknown unit of time").with("unit", text).hint("known units: s, ms, us, ns")),
    }
}

fn parse_zone(text: &str) -> Result<Arc<str>> {
    match text.parse::<Tz>() {
        Ok(_) => Ok(text.into()),
        Err(_) => {
            Err(usage("unknown time zone").with("zone", text).hint("UTC, Europe/Berlin and +01:00 are zones"))
        }
    }
}

fn parse_decimal(precision: &str, scale: &str) -> Result<DataType> {
    match (precision.parse::<u8>(), scale.parse::<i8>()) {
        (Ok(precision @ 1..=MAX_DECIMAL256), Ok(scale @ 0..)) if scale.cast_unsigned() <= precision => {
            Ok(if precision <= MAX_DECIMAL128 {
                DataType::Decimal128(precision, scale)
            } else {
                DataType::Decimal256(precision, scale)
            })
        }
        _ => Err(usage("a decimal has 1 to 76 digits, some of them after the point")
            .with("type", format!("decimal({precision}, {scale})"))
            .hint("decimal(10, 2) holds up to 99999999.99")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::schema::type_name;

    fn types(text: &str) -> Vec<(String, DataType)> {
        let schema = text.parse::<ColumnTypes>().expect("types").into_schema();
        schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect()
    }

    fn error(text: &str) -> Error {
        text.parse::<ColumnTypes>().expect_err("refused")
    }

    #[test]
    fn columns_are_split_outside_parentheses() {
        let expected = vec![
            ("id".to_owned(), DataType::Utf8),
            ("total".to_owned(), DataType::Decimal128(10, 2)),
            ("at".to_owned(), DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
        ];
        assert_eq!(types("id:string, total:decimal(10,2),at:timestamp(ms, UTC)"), expected);
    }

    #[test]
    fn names_and_zones_may_have_colons() {
        let zoned = DataType::Timestamp(TimeUnit::Second, Some("+01:00".into()));
        assert_eq!(types("a:b:timestamp(s, +01:00)"), vec![("a:b".to_owned(), zoned)]);
    }

    #[test]
    fn every_type_is_written_as_it_is_shown() {
        let shown = [
            "int8",
            "int16",
            "int32",
            "int64",
            "uint8",
            "uint16",
            "uint32",
            "uint64",
            "float32",
            "float64",
            "string",
            "bool",
            "date",
            "binary",
            "time(ms)",
            "time(ns)",
            "timestamp(ns)",
            "timestamp(us, Europe/Berlin)",
            "decimal(40, 3)",
        ];
        for name in shown {
            let parsed = types(&format!("x:{name}"));
            assert_eq!(parsed.first().map(|(_, t)| type_name(t)).as_deref(), Some(name));
        }
    }

    #[test]
    fn a_decimal_of_many_digits_is_wide() {
        assert_eq!(types("x:decimal(38,0)")[0].1, DataType::Decimal128(38, 0));
        assert_eq!(types("x:decimal(39,39)")[0].1, DataType::Decimal256(39, 39));
        for wrong in ["decimal(0,0)", "decimal(77,0)", "decimal(5,6)", "decimal(5,-1)", "decimal(a,b)"] {
            assert_eq!(error(&format!("x:{wrong}")).kind(), ErrorKind::Usage, "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(error("a:int128").to_string(), "unknown type (type: int128, column: a)");
        assert_eq!(error("a:int64(3)").to_string(), "unknown type (type: int64(3), column: a)");
        assert_eq!(error("a:timestamp(h)").to_string(), "unknown unit of time (unit: h, column: a)");
        let zone = error("a:timestamp(s, Mars/Olympus)").to_string();
        assert_eq!(zone, "unknown time zone (zone: Mars/Olympus, column: a)");
        assert_eq!(error("a:int8,a:int16").to_string(), "a column has two types (column: a)");
        assert!(error("a:int8,").to_string().starts_with("a column type is not written as NAME:TYPE"));
        assert!(error("int8").to_string().starts_with("a column type is not written as NAME:TYPE"));
    }
}
