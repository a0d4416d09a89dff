//! Columns that a Delta table gets: the words of its log for them, beside all that is said there already. Data files that lack them
//! stay as they are.

use arrow::datatypes::{FieldRef, Schema};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{Action, StructType};
use serde_json::{Value, json};

use super::log::Snapshot;
use super::types::table_schema;
use super::write::holds_naive;
use crate::error::{Error, ErrorKind, Result};
use crate::table::parquet::behind;

impl Snapshot {
    /// Has these columns from now on, behind its own, in types of Delta; gives the action that says so.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a type that Delta lacks, or that the table does not allow.
    pub(super) fn add_columns(&mut self, columns: &[FieldRef]) -> Result<Action> {
        let columns = table_schema(&Schema::new(columns.to_vec()))?;
        if let Some(naive) = columns.fields().iter().find(|field| holds_naive(field.data_type()))
            && !self.demands.knows("timestampNtz")
        {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the Delta table takes no timestamps without a zone",
            )
            .with("column", naive.name())
            .with("feature", "timestampNtz")
            .hint("let them come in with a zone, such as 2021-05-22T02:51:15Z, or under a name that is stored with one"));
        }
        let wordless = |cause: serde_json::Error| {
            Error::internal("the new columns have no words in the log").because(cause)
        };
        let new: StructType = columns
            .as_ref()
            .try_into_kernel()
            .map_err(|cause| Error::internal("the new columns have no types in Delta").because(cause))?;
        let mut new = serde_json::to_value(&new).map_err(wordless)?;
        // The others keep what is said of them, word by word.
        let mut metadata = serde_json::to_value(&self.metadata).map_err(wordless)?;
        let text = metadata.get("schemaString").and_then(Value::as_str).unwrap_or_default();
        let mut schema: Value = serde_json::from_str(text).map_err(wordless)?;
        let all = schema.get_mut("fields").and_then(Value::as_array_mut);
        let (Some(all), Some(new)) = (all, new.get_mut("fields").and_then(Value::as_array_mut)) else {
            return Err(Error::internal("the log of the Delta table says no columns"));
        };
        all.append(new);
        metadata["schemaString"] = Value::String(schema.to_string());
        let action = serde_json::from_value(json!({ "metaData": metadata })).map_err(wordless)?;
        self.schema = behind(&self.schema, columns.fields());
        Ok(action)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn fields_in_the_words_of_the_log_may_be_null_and_say_no_more() {
        let field = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
        let columns =
            [field("a", DataType::UInt8), field("b", DataType::new_large_list(DataType::Utf8View, true))];
        let schema = table_schema(&Schema::new(columns.to_vec())).expect("types");
        let new: StructType = schema.as_ref().try_into_kernel().expect("types");
        let list = json!({ "type": "array", "elementType": "string", "containsNull": true });
        assert_eq!(
            serde_json::to_value(&new).expect("words")["fields"],
            json!([
                { "name": "a", "type": "short", "nullable": true, "metadata": {} },
                { "name": "b", "type": list, "nullable": true, "metadata": {} },
            ])
        );
    }
}
