//! The media type of an object, told from its name as browsers and other tools expect it.

/// The media type of `name`; that of unknown bytes if the name tells nothing.
pub(crate) fn of_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let extension =
        lower.rsplit('/').next().unwrap_or_default().rsplit_once('.').map(|(_, extension)| extension);
    match extension {
        // Registered with IANA, and younger than the list.
        Some("parquet" | "pq") => "application/vnd.apache.parquet".to_owned(),
        Some("arrow" | "feather" | "ipc") => "application/vnd.apache.arrow.file".to_owned(),
        Some("arrows") => "application/vnd.apache.arrow.stream".to_owned(),
        Some("ndjson" | "jsonl") => "application/x-ndjson".to_owned(),
        Some("zst") => "application/zstd".to_owned(),
        _ => mime_guess::from_path(lower).first_or_octet_stream().essence_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_type() {
        for (name, expected) in [
            ("a/b.PARQUET", "application/vnd.apache.parquet"),
            ("a.csv", "text/csv"),
            ("a.json", "application/json"),
            ("a.jsonl", "application/x-ndjson"),
            ("a.csv.gz", "application/gzip"),
            ("a.txt", "text/plain"),
            ("a.b/c", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(of_name(name), expected, "{name}");
        }
    }
}
