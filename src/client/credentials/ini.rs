//! The dialect of INI in which `~/.aws` is written, read as the AWS command line reads it. Crates for INI know
//! neither its indented blocks nor that a `#` inside a value belongs to it.

use std::collections::BTreeMap;

/// Keys, in lower case, with their values; the keys of an indented block are `outer.inner`.
pub(super) type Table = BTreeMap<String, String>;

/// Sections by what stands between their brackets. One that comes twice is one.
pub(super) type Ini = BTreeMap<String, Table>;

/// The key that indented lines belong to.
struct Open {
    key: String,
    indent: usize,
}

/// Reads the text of a file.
///
/// # Errors
///
/// The number of the line that is neither section, key nor comment. Its text may hold a secret.
pub(super) fn parse(text: &str) -> Result<Ini, usize> {
    let mut ini = Ini::new();
    let mut section: Option<String> = None;
    let mut open: Option<Open> = None;
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let content = line.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let nested = open.as_ref().filter(|open| indent > open.indent);
        if let (Some(outer), Some(table)) = (nested, current(&mut ini, section.as_deref())) {
            nest(table, &outer.key, content);
        } else if let Some(name) = content.strip_prefix('[') {
            let name = name.split(']').next().unwrap_or_default().trim().to_owned();
            ini.entry(name.clone()).or_default();
            (section, open) = (Some(name), None);
        } else {
            let table = current(&mut ini, section.as_deref()).ok_or(number + 1)?;
            let (key, value) = pair(content).ok_or(number + 1)?;
            table.insert(key.clone(), value);
            open = Some(Open { key, indent });
        }
    }
    Ok(ini)
}

fn current<'a>(ini: &'a mut Ini, section: Option<&str>) -> Option<&'a mut Table> {
    ini.get_mut(section?)
}

fn pair(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once(['=', ':'])?;
    let key = key.trim().to_ascii_lowercase();
    (!key.is_empty()).then(|| (key, value.trim().to_owned()))
}

/// An indented line is a key of the block above, or carries on the value above.
fn nest(table: &mut Table, outer: &str, line: &str) {
    let value = table.entry(outer.to_owned()).or_default();
    if !value.is_empty() {
        value.push('\n');
        value.push_str(line);
    } else if let Some((key, value)) = pair(line) {
        table.insert(format!("{outer}.{key}"), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_comments_and_blocks_are_read() {
        let text = "\u{feff}# c\n[profile etl]\r\nRegion = eu-west-1\r\n; c\ns3 =\n  endpoint_url = http://h:1/\n  \
                    # c\n  addressing_style=path\noutput=json\n[default]\n\taws_access_key_id = AK=#1\n\tregion=x\n";
        let ini = parse(text).expect("reads");
        let at = |section: &str, key: &str| ini[section].get(key).map(String::as_str);
        assert_eq!(at("profile etl", "region"), Some("eu-west-1"));
        assert_eq!(at("profile etl", "s3.endpoint_url"), Some("http://h:1/"));
        assert_eq!(at("profile etl", "s3.addressing_style"), Some("path"));
        assert_eq!(at("profile etl", "output"), Some("json"));
        assert_eq!(at("default", "aws_access_key_id"), Some("AK=#1"));
        assert_eq!(at("default", "region"), Some("x"));
    }

    #[test]
    fn a_line_that_is_nothing_is_told_by_its_number() {
        assert_eq!(parse("[a]\nx = 1\ncanary\n"), Err(3));
        assert_eq!(parse("x = 1\n"), Err(1));
        assert_eq!(parse("[a]\n= 1\n"), Err(2));
    }
}
