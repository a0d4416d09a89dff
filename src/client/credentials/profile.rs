//! The files in `~/.aws`: which profiles there are, and what each says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::ini::{self, Ini, Table};
use crate::client::s3_settings::S3Settings;
use crate::error::{Error, ErrorKind, Result};

/// The sections that the files have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Profile,
    SsoSession,
    Services,
}

/// Where the files are.
#[derive(Debug, Clone)]
pub(super) struct Files {
    config: Option<PathBuf>,
    credentials: Option<PathBuf>,
}

/// What the files say.
pub(super) struct Profiles {
    config: BTreeMap<(Kind, String), Table>,
    credentials: Ini,
}

/// One profile, of which each file may say a part.
#[derive(Clone, Copy)]
pub(super) struct Profile<'a> {
    pub(super) name: &'a str,
    pub(super) config: Option<&'a Table>,
    pub(super) credentials: Option<&'a Table>,
}

impl Files {
    pub(super) fn of(environment: &Environment) -> Self {
        Self {
            config: environment.aws_file("AWS_CONFIG_FILE", "config"),
            credentials: environment.aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        }
    }

    /// Reads both files; one that is not there is empty.
    ///
    /// # Errors
    ///
    /// `InvalidData` with file and line for what cannot be read.
    pub(super) fn read(&self) -> Result<Profiles> {
        let mut config = BTreeMap::<_, Table>::new();
        for (title, table) in read(self.config.as_deref())? {
            if let Some(key) = section(&title) {
                config.entry(key).or_default().extend(table);
            }
        }
        Ok(Profiles { config, credentials: read(self.credentials.as_deref())? })
    }
}

fn read(file: Option<&Path>) -> Result<Ini> {
    let Some(file) = file else { return Ok(Ini::new()) };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Ini::new()),
        Err(cause) => {
            return Err(Error::io("cannot read a file with profiles", cause).with("file", file.display()));
        }
    };
    ini::parse(&text).map_err(|line| {
        Error::new(ErrorKind::InvalidData, "a line is neither a section nor a key with a value")
            .with("file", file.display())
            .with("line", line)
    })
}

/// What a title of the configuration means; others are of no use here.
fn section(title: &str) -> Option<(Kind, String)> {
    if title == "default" {
        return Some((Kind::Profile, title.to_owned()));
    }
    let (kind, name) = title.split_once(char::is_whitespace)?;
    let kind = match kind {
        "profile" => Kind::Profile,
        "sso-session" => Kind::SsoSession,
        "services" => Kind::Services,
        _ => return None,
    };
    Some((kind, name.trim().trim_matches(['"', '\'']).to_owned()))
}

impl Profiles {
    pub(super) fn get<'a>(&'a self, name: &'a str) -> Option<Profile<'a>> {
        let (config, credentials) = (self.section(Kind::Profile, name), self.credentials.get(name));
        (config.is_some() || credentials.is_some()).then_some(Profile { name, config, credentials })
    }

    /// A profile that somebody named.
    ///
    /// # Errors
    ///
    /// `NotFound`, with those that there are.
    pub(super) fn named<'a>(&'a self, name: &'a str) -> Result<Profile<'a>> {
        self.get(name).ok_or_else(|| {
            let known = self.names().into_iter().collect::<Vec<_>>().join(", ");
            let error = Error::new(ErrorKind::NotFound, "this profile does not exist").with("profile", name);
            if known.is_empty() {
                error.hint("there are no profiles; aws configure makes one")
            } else {
                error.hint(format!("known profiles: {known}"))
            }
        })
    }

    pub(super) fn section(&self, kind: Kind, name: &str) -> Option<&Table> {
        self.config.get(&(kind, name.to_owned()))
    }

    fn names(&self) -> BTreeSet<&str> {
        let config =
            self.config.keys().filter(|(kind, _)| *kind == Kind::Profile).map(|(_, name)| name.as_str());
        config.chain(self.credentials.keys().map(String::as_str)).collect()
    }
}

impl<'a> Profile<'a> {
    /// What the profile says; the file with credentials wins, and an empty value is none.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        let of = |table: Option<&'a Table>| value(table, key);
        of(self.credentials).or_else(|| of(self.config))
    }
}

/// A value that is not empty.
pub(super) fn value<'a>(table: Option<&'a Table>, key: &str) -> Option<&'a str> {
    table?.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

/// Region and endpoint of the profile that `settings` name, or of `default`, where `settings` say none.
pub(super) fn settings(settings: &S3Settings, environment: &Environment) -> Result<S3Settings> {
    let mut found = S3Settings::default();
    if settings.region.is_some() && settings.endpoint_url.is_some() {
        return Ok(found);
    }
    let profiles = Files::of(environment).read()?;
    let profile = match &settings.profile {
        Some(name) => Some(profiles.named(name)?),
        None => profiles.get("default"),
    };
    let Some(profile) = profile else { return Ok(found) };
    if settings.region.is_none() {
        found.region = profile.get("region").map(str::to_owned);
    }
    if settings.endpoint_url.is_none() && !environment.is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        found.endpoint_url = endpoint(&profiles, &profile).map(str::to_owned);
    }
    Ok(found)
}

/// The endpoint for S3 in the services that the profile names, else that for every service.
fn endpoint<'a>(profiles: &'a Profiles, profile: &Profile<'a>) -> Option<&'a str> {
    let services = profile.get("services").and_then(|name| profiles.section(Kind::Services, name));
    value(services, "s3.endpoint_url").or_else(|| profile.get("endpoint_url"))
}

#[cfg(test)]
mod tests;
