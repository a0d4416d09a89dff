//! Which features of a Delta table keyfold honours. A table that uses another one is refused by its name, before
//! anything is read or written.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};

/// Features that a reader must honour, and we do. Those behind them are honoured as long as they are not in use.
const READ: &[&str] = &[
    "deletionVectors",
    "timestampNtz",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
    "columnMapping",
    "variantType",
    "variantType-preview",
];

/// Features that a writer must honour, and we do. Those of the second line are honoured as long as they are not in use,
/// which the properties and columns of the table tell.
const WRITE: &[&str] = &[
    "appendOnly",
    "checkpointProtection",
    "deletionVectors",
    "domainMetadata",
    "timestampNtz",
    "v2Checkpoint",
    "vacuumProtocolCheck",
    "allowColumnDefaults",
    "changeDataFeed",
    "checkConstraints",
    "columnMapping",
    "generatedColumns",
    "identityColumns",
    "inCommitTimestamp",
    "invariants",
    "variantType",
    "variantType-preview",
];

/// What a table asks of those who read and write it.
#[derive(Debug, Clone)]
pub(super) struct Demands {
    protocol: Value,
    schema: Value,
    properties: HashMap<String, String>,
}

impl Demands {
    pub(super) fn new(protocol: Value, schema: Value, properties: HashMap<String, String>) -> Self {
        Self { protocol, schema, properties }
    }

    /// Refuses a table that we would misread.
    ///
    /// # Errors
    ///
    /// `Unsupported` that names the features.
    pub(super) fn check_readable(&self) -> Result<()> {
        let mut refused = self.beyond("readerFeatures", READ);
        self.check_version("minReaderVersion", 3)?;
        if self.maps_columns() {
            refused.insert("columnMapping".to_owned());
        }
        if holds_variant(&self.schema) {
            refused.insert("variantType".to_owned());
        }
        refuse(&refused, "the Delta table uses a feature that keyfold does not read")
    }

    /// Refuses a table that we would damage.
    ///
    /// # Errors
    ///
    /// `Unsupported` that names the features.
    pub(super) fn check_writable(&self) -> Result<()> {
        self.check_readable()?;
        self.check_version("minWriterVersion", 7)?;
        let mut refused = self.beyond("writerFeatures", WRITE);
        refused.extend(self.beyond("readerFeatures", WRITE));
        refused.extend(self.properties_in_use().map(str::to_owned));
        refused.extend(self.columns_in_use().into_iter().map(str::to_owned));
        refuse(&refused, "the Delta table uses a feature that keyfold does not write")
    }

    /// Refuses to take rows away from a table to which rows are only added.
    ///
    /// # Errors
    ///
    /// `Unsupported`.
    pub(super) fn check_removable(&self) -> Result<()> {
        if !self.is_on("delta.appendOnly") {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "the Delta table is append-only: its rows are never changed")
            .with("property", "delta.appendOnly")
            .hint("only new rows can be written to it"))
    }

    /// Whether versions have times of their own, which the times of files may contradict.
    ///
    /// # Errors
    ///
    /// `Unsupported` if so.
    pub(super) fn check_times(&self) -> Result<()> {
        if !self.is_on("delta.enableInCommitTimestamps") {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "the Delta table uses a feature that keyfold does not read")
            .with("features", "inCommitTimestamp")
            .hint("say the version instead of a time"))
    }

    pub(super) fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// Whether a feature is among those that readers and writers must know.
    pub(super) fn knows(&self, feature: &str) -> bool {
        ["readerFeatures", "writerFeatures"].iter().all(|list| self.is_named(list, feature))
    }

    fn is_named(&self, list: &str, feature: &str) -> bool {
        let named = self.protocol.get(list).and_then(Value::as_array);
        named.is_some_and(|named| named.iter().any(|name| name == feature))
    }

    /// Whether files may have deletion vectors.
    pub(super) fn knows_vectors(&self) -> bool {
        self.is_named("readerFeatures", "deletionVectors")
    }

    /// Whether replaced rows are to be marked in deletion vectors, and files left as they are.
    pub(super) fn wants_vectors(&self) -> bool {
        self.is_on("delta.enableDeletionVectors") && self.knows("deletionVectors")
    }

    fn is_on(&self, property: &str) -> bool {
        self.property(property).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn maps_columns(&self) -> bool {
        self.property("delta.columnMapping.mode").is_some_and(|mode| mode != "none")
    }

    fn check_version(&self, name: &'static str, known: u64) -> Result<()> {
        let version = self.protocol.get(name).and_then(Value::as_u64).unwrap_or(0);
        if version <= known {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "the Delta table is of a later version of the protocol")
            .with(name, version)
            .hint("a newer keyfold may know it"))
    }

    fn beyond(&self, list: &str, known: &[&str]) -> BTreeSet<String> {
        let named = self.protocol.get(list).and_then(Value::as_array).into_iter().flatten();
        named.filter_map(Value::as_str).filter(|name| !known.contains(name)).map(str::to_owned).collect()
    }

    fn properties_in_use(&self) -> impl Iterator<Item = &'static str> {
        let switches = [
            ("delta.enableChangeDataFeed", "changeDataFeed"),
            ("delta.enableRowTracking", "rowTracking"),
            ("delta.enableInCommitTimestamps", "inCommitTimestamp"),
            ("delta.enableTypeWidening", "typeWidening"),
            ("delta.enableIcebergCompatV1", "icebergCompatV1"),
            ("delta.enableIcebergCompatV2", "icebergCompatV2"),
        ];
        let constrained = self.properties.keys().any(|name| name.starts_with("delta.constraints."));
        let on =
            switches.into_iter().filter(|(property, _)| self.is_on(property)).map(|(_, feature)| feature);
        on.chain(constrained.then_some("checkConstraints")).collect::<Vec<_>>().into_iter()
    }

    fn columns_in_use(&self) -> BTreeSet<&'static str> {
        let mut found = BTreeSet::new();
        look_for_columns(&self.schema, &mut found);
        found
    }
}

/// What the metadata of columns says, however deep they are.
fn look_for_columns(schema: &Value, found: &mut BTreeSet<&'static str>) {
    const KEYS: [(&str, &str); 4] = [
        ("delta.invariants", "invariants"),
        ("delta.generationExpression", "generatedColumns"),
        ("delta.identity.start", "identityColumns"),
        ("CURRENT_DEFAULT", "allowColumnDefaults"),
    ];
    match schema {
        Value::Object(entries) => {
            if let Some(Value::Object(metadata)) = entries.get("metadata") {
                found.extend(
                    KEYS.iter().filter(|(key, _)| metadata.contains_key(*key)).map(|(_, name)| *name),
                );
            }
            entries.values().for_each(|value| look_for_columns(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| look_for_columns(value, found)),
        _ => {}
    }
}

/// Whether there is a column of type variant, however deep.
fn holds_variant(schema: &Value) -> bool {
    match schema {
        Value::Object(entries) => entries.iter().any(|(key, value)| match key.as_str() {
            "type" | "elementType" | "keyType" | "valueType" if value.is_string() => value == "variant",
            "metadata" => false,
            _ => holds_variant(value),
        }),
        Value::Array(values) => values.iter().any(holds_variant),
        _ => false,
    }
}

fn refuse(features: &BTreeSet<String>, message: &'static str) -> Result<()> {
    if features.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = features.iter().map(String::as_str).collect();
    Err(Error::new(ErrorKind::Unsupported, message)
        .with("features", names.join(", "))
        .hint("docs/delta.md lists what is honoured; nothing was changed"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn demands(protocol: Value, schema: Value, properties: &[(&str, &str)]) -> Demands {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Demands::new(protocol, schema, properties.collect())
    }

    fn legacy() -> Value {
        json!({ "minReaderVersion": 1, "minWriterVersion": 2 })
    }

    #[test]
    fn a_feature_that_is_not_known_is_refused_by_name() {
        let protocol = json!({
            "minReaderVersion": 3, "minWriterVersion": 7,
            "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors", "rowTracking", "foo"],
        });
        let table = demands(protocol, json!({}), &[]);
        assert!(table.check_readable().is_ok());
        let error = table.check_writable().expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("features: foo, rowTracking"), "{error}");
    }

    #[test]
    fn features_of_old_protocols_count_only_where_they_are_in_use() {
        let version = |writer: u64| json!({ "minReaderVersion": 2, "minWriterVersion": writer });
        assert!(demands(version(6), json!({}), &[]).check_writable().is_ok());
        let refused = |schema: Value, properties: &[(&str, &str)]| {
            demands(version(6), schema, properties).check_writable().expect_err("refused").to_string()
        };
        let column = |key: &str| json!({ "fields": [{ "name": "a", "metadata": { key: "x" } }] });
        assert!(refused(column("delta.invariants"), &[]).contains("invariants"));
        assert!(refused(column("delta.generationExpression"), &[]).contains("generatedColumns"));
        assert!(refused(column("delta.identity.start"), &[]).contains("identityColumns"));
        assert!(refused(json!({}), &[("delta.constraints.c", "a > 0")]).contains("checkConstraints"));
        assert!(refused(json!({}), &[("delta.enableChangeDataFeed", "true")]).contains("changeDataFeed"));
        assert!(refused(json!({}), &[("delta.columnMapping.mode", "name")]).contains("columnMapping"));
    }

    #[test]
    fn variants_are_refused_only_where_a_column_has_them() {
        let protocol = json!({
            "minReaderVersion": 3, "minWriterVersion": 7,
            "readerFeatures": ["variantType"], "writerFeatures": ["variantType"],
        });
        let of = |kind: Value| json!({ "fields": [{ "name": "a", "type": kind, "metadata": {} }] });
        let table = |kind: Value| demands(protocol.clone(), of(kind), &[]);
        assert!(table(json!("long")).check_writable().is_ok());
        for kind in [json!("variant"), json!({ "type": "array", "elementType": "variant" })] {
            let error = table(kind).check_readable().expect_err("refused");
            assert!(error.to_string().contains("variantType"), "{error}");
        }
    }

    #[test]
    fn rows_of_an_append_only_table_stay() {
        let table = demands(legacy(), json!({}), &[("delta.appendOnly", "true")]);
        assert!(table.check_writable().is_ok());
        assert_eq!(table.check_removable().map_err(|e| e.kind()), Err(ErrorKind::Unsupported));
    }

    #[test]
    fn a_later_protocol_is_refused() {
        let protocol = json!({ "minReaderVersion": 4, "minWriterVersion": 7 });
        let error = demands(protocol, json!({}), &[]).check_readable().expect_err("refused");
        assert!(error.to_string().contains("minReaderVersion: 4"), "{error}");
    }
}
