//! The JSON schema of files of rules: editors complete and check keys by it.

use clap::Command;
use serde_json::{Map, Value, json};

use crate::cli::rule_flags::{Flag, Takes};

/// The schema of files that have the flags of `definition` as keys. Of draft 7, which editors of TOML know.
pub(crate) fn schema(definition: &Command) -> Value {
    let mut properties = Map::new();
    for flag in Flag::all(definition) {
        properties.insert(flag.name().to_owned(), property(flag));
    }
    for flag in Flag::all(definition).filter(|flag| flag.name().contains('-')) {
        let same = json!({ "$ref": format!("#/properties/{}", flag.name()) });
        properties.insert(flag.name().replace('-', "_"), same);
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Rule of keyfold upsert",
        "description": "What keyfold upsert --rule FILE does where nothing else is typed",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

fn property(flag: Flag) -> Value {
    let one = match flag.takes() {
        Takes::Nothing => json!({ "type": "boolean" }),
        Takes::OneOf(words) => json!({ "enum": words }),
        Takes::Text => json!({ "type": "string" }),
        Takes::Other => json!({ "type": ["string", "number"] }),
    };
    let mut property = if flag.is_list() {
        json!({ "anyOf": [one.clone(), { "type": "array", "items": one }] })
    } else {
        one
    };
    property["description"] = flag.help().into();
    property
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::rule_flags::tests::of_every_kind;

    #[test]
    fn each_kind_of_flag_is_a_property_of_its_type() {
        let schema = schema(&of_every_kind());
        let text = json!({ "type": "string" });
        let expected = json!({
            "columns": { "anyOf": [text, { "type": "array", "items": text }], "description": "" },
            "policy": { "anyOf": [text, { "type": "array", "items": text }], "description": "" },
            "who": { "enum": ["stored", "incoming"], "description": "Who wins" },
            "max-delete": { "type": ["string", "number"], "description": "" },
            "allow-empty": { "type": "boolean", "description": "" },
            "max_delete": { "$ref": "#/properties/max-delete" },
            "allow_empty": { "$ref": "#/properties/allow-empty" },
        });
        assert_eq!(schema["properties"], expected);
        assert_eq!(schema["additionalProperties"], false);
    }
}
