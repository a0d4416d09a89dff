//! What must hold between names of columns: they exist, exactly, and differ by more than case.

use arrow::datatypes::{DataType, Schema};

use crate::error::{Error, ErrorKind, Result};

/// Finds a column by its exact name.
///
/// # Errors
///
/// `InvalidInput` that names the column and what there is instead; `role` says what it was for.
pub(crate) fn find_column(schema: &Schema, name: &str, role: &'static str) -> Result<usize> {
    if let Ok(index) = schema.index_of(name) {
        return Ok(index);
    }
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let error = Error::new(ErrorKind::InvalidInput, format!("{role} is missing")).with("column", name);
    Err(match names.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => error.hint(format!("there is a column {known}: names are matched exactly")),
        None => error.hint(format!("columns: {}", names.join(", "))),
    })
}

/// Refuses two columns that are equal, or equal but for case.
///
/// # Errors
///
/// `InvalidInput` that names both.
pub(crate) fn check_names(schema: &Schema) -> Result<()> {
    let mut names: Vec<(String, &str)> =
        schema.fields().iter().map(|field| (field.name().to_lowercase(), field.name().as_str())).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        if let [(left, first), (right, second)] = pair
            && left == right
        {
            let message = if first == second {
                "two columns have the same name"
            } else {
                "two columns differ only in case"
            };
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .with("columns", format!("{first}, {second}"))
                .hint("rename one of them"));
        }
    }
    Ok(())
}

/// A type as people read it: `int64`, `timestamp(ms, UTC)`, `decimal(10, 2)`, `list<string>`.
#[must_use]
pub(crate) fn type_name(data_type: &DataType) -> String {
    use arrow::datatypes::TimeUnit;
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    };
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".to_owned(),
        DataType::FixedSizeBinary(width) => format!("binary({width})"),
        DataType::Boolean => "bool".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(u) | DataType::Time64(u) => format!("time({})", unit(u)),
        DataType::Timestamp(u, None) => format!("timestamp({})", unit(u)),
        DataType::Timestamp(u, Some(zone)) => format!("timestamp({}, {zone})", unit(u)),
        DataType::Duration(u) => format!("duration({})", unit(u)),
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => format!("decimal({p}, {s})"),
        DataType::Dictionary(_, values) => format!("dictionary<{}>", type_name(values)),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field) => format!("list<{}>", type_name(field.data_type())),
        DataType::FixedSizeList(field, size) => format!("list<{}, {size}>", type_name(field.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|f| format!("{}: {}", f.name(), type_name(f.data_type()))).collect();
            format!("struct<{}>", fields.join(", "))
        }
        DataType::Map(entries, _) => format!("map<{}>", type_name(entries.data_type())),
        other => other.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Field, TimeUnit};

    fn schema(names: &[&str]) -> Schema {
        Schema::new(names.iter().map(|n| Field::new(*n, DataType::Int64, true)).collect::<Vec<_>>())
    }

    #[test]
    fn a_column_is_found_by_its_exact_name_only() {
        let error = find_column(&schema(&["Id", "x"]), "id", "id column").expect_err("missing");
        assert_eq!(error.to_string(), "id column is missing (column: id)");
        assert_eq!(error.hint_text(), Some("there is a column Id: names are matched exactly"));
    }

    #[test]
    fn names_equal_but_for_case_are_refused() {
        assert!(check_names(&schema(&["a", "b"])).is_ok());
        let error = check_names(&schema(&["a", "b", "A"])).expect_err("case");
        assert_eq!(error.to_string(), "two columns differ only in case (columns: A, a)");
    }

    #[test]
    fn types_read_as_people_write_them() {
        let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        assert_eq!(type_name(&zoned), "timestamp(ms, UTC)");
        let list = DataType::new_list(DataType::Utf8View, true);
        assert_eq!(type_name(&list), "list<string>");
    }
}
