//! From a profile to whoever lends its keys: static keys, a program, a role, SSO.

use std::sync::Arc;

use async_trait::async_trait;

use super::chain::{Choice, Ground};
use super::container::Container;
use super::instance::Instance;
use super::process::Process;
use super::profile::{Files, Profile, Profiles, value};
use super::sso::Sso;
use super::sts::{AssumedRole, Role, Sts, WebIdentity};
use super::{Lease, Lender};
use crate::error::{Error, ErrorKind, Result};

const KEY: &str = "aws_access_key_id";
const SECRET: &str = "aws_secret_access_key";
const TOKEN: &str = "aws_session_token";

/// Profiles that have been gone through on the way to a source, the first one first.
type Visited = Vec<String>;

/// The role that a profile takes with other keys, if it takes one.
///
/// # Errors
///
/// `NotFound` for a source that does not exist, `InvalidData` for one that is contradictory, `Unsupported` for MFA.
pub(super) fn role(ground: &Ground, profiles: &Profiles, name: &str) -> Result<Option<Choice>> {
    let profile = profiles.named(name)?;
    if !takes_role(&profile) {
        return Ok(None);
    }
    let lender = assumed(ground, profiles, &profile, &mut vec![name.to_owned()])?;
    Ok(Some(Choice { lender, source: format!("profile {name} (assume role)") }))
}

/// The keys that a profile has by itself, if it has any.
///
/// # Errors
///
/// `InvalidData` for half of what is needed.
pub(super) fn own(ground: &Ground, profiles: &Profiles, name: &str) -> Result<Option<Choice>> {
    let profile = profiles.named(name)?;
    let choice = |how, lender| Choice { lender, source: format!("profile {name} ({how})") };
    // In the order of botocore: keys in the file of credentials, a program, keys in the configuration.
    if let Some(file) = profile.get("web_identity_token_file").filter(|_| profile.get("role_arn").is_some()) {
        return web_identity(ground, &profile, file).map(|lender| Some(choice("web identity", lender)));
    }
    if let Some(sso) = Sso::find(ground, profiles, &profile)? {
        return Ok(Some(choice("SSO", Arc::new(sso))));
    }
    let keys: Arc<dyn Lender> =
        Arc::new(ProfileKeys { files: Files::of(&ground.environment), name: name.to_owned() });
    if value(profile.credentials, KEY).is_some() {
        return Ok(Some(choice("keys", keys)));
    }
    if let Some(command) = profile.get("credential_process") {
        return Ok(Some(choice("credential process", Arc::new(Process::new(name, command)))));
    }
    Ok(value(profile.config, KEY).map(|_| choice("keys", keys)))
}

fn takes_role(profile: &Profile<'_>) -> bool {
    profile.get("role_arn").is_some() && profile.get("web_identity_token_file").is_none()
}

fn assumed(
    ground: &Ground,
    profiles: &Profiles,
    profile: &Profile<'_>,
    visited: &mut Visited,
) -> Result<Arc<dyn Lender>> {
    if profile.get("mfa_serial").is_some() {
        return Err(wrong(
            ErrorKind::Unsupported,
            "a role that asks for a one-time code (mfa_serial) cannot be taken",
            profile,
        )
        .hint("take it with the aws command line, and pass its keys on with credential_process"));
    }
    let base = match (profile.get("source_profile"), profile.get("credential_source")) {
        (Some(source), None) => of_profile(ground, profiles, profile.name, source, visited)?,
        (None, Some(source)) => of_surroundings(ground, profile, source)?,
        (Some(_), Some(_)) => {
            return Err(invalid("source_profile and credential_source exclude each other", profile));
        }
        (None, None) => return Err(invalid("a role needs a source_profile or a credential_source", profile)),
    };
    Ok(Arc::new(AssumedRole {
        sts: Sts::new(ground, profile.get("region"))?,
        role: asked(profile)?,
        external_id: profile.get("external_id").map(|id| id.to_owned().into()),
        base,
    }))
}

fn asked(profile: &Profile<'_>) -> Result<Role> {
    let duration = profile.get("duration_seconds").map(str::parse).transpose();
    Ok(Role {
        arn: profile.get("role_arn").unwrap_or_default().to_owned(),
        session_name: profile.get("role_session_name").map(str::to_owned),
        duration: duration.map_err(|_| invalid("duration_seconds is not a number", profile))?,
    })
}

/// The keys of a `source_profile`. A profile may name itself, for keys that stand beside the role.
fn of_profile(
    ground: &Ground,
    profiles: &Profiles,
    asking: &str,
    source: &str,
    visited: &mut Visited,
) -> Result<Arc<dyn Lender>> {
    let profile = profiles.named(source).map_err(|error| error.with("source_profile of", asking))?;
    let has_keys = profile.get(KEY).is_some();
    let own_keys = source == asking && has_keys;
    if visited.iter().any(|seen| seen == source) && !own_keys {
        visited.push(source.to_owned());
        return Err(
            invalid("profiles take each other as their source", &profile).with("way", visited.join(" > "))
        );
    }
    visited.push(source.to_owned());
    if takes_role(&profile) && !has_keys {
        return assumed(ground, profiles, &profile, visited);
    }
    match own(ground, profiles, source)? {
        Some(choice) => Ok(choice.lender),
        None => Err(invalid("this source_profile has no credentials", &profile)),
    }
}

fn of_surroundings(ground: &Ground, profile: &Profile<'_>, source: &str) -> Result<Arc<dyn Lender>> {
    let environment = &ground.environment;
    let found: Option<Arc<dyn Lender>> = match source {
        "Environment" => super::chain::variables(environment)?,
        "EcsContainer" => Container::find(environment, &ground.http)?.map(|found| Arc::new(found) as _),
        "Ec2InstanceMetadata" => Instance::find(environment, &ground.http)?.map(|found| Arc::new(found) as _),
        _ => {
            return Err(invalid("unknown credential_source", profile)
                .hint("Environment, EcsContainer or Ec2InstanceMetadata"));
        }
    };
    found.ok_or_else(|| {
        wrong(ErrorKind::PermissionDenied, "the credential_source of the profile has no credentials", profile)
            .with("credential_source", source)
    })
}

fn web_identity(ground: &Ground, profile: &Profile<'_>, file: &str) -> Result<Arc<dyn Lender>> {
    Ok(Arc::new(WebIdentity {
        sts: Sts::new(ground, profile.get("region"))?,
        role: asked(profile)?,
        token_file: ground.environment.path(file),
    }))
}

fn invalid(message: &'static str, profile: &Profile<'_>) -> Error {
    wrong(ErrorKind::InvalidData, message, profile)
}

fn wrong(kind: ErrorKind, message: &'static str, profile: &Profile<'_>) -> Error {
    Error::new(kind, message).with("profile", profile.name)
}

/// Keys that stand in the files; read anew each time, because other tools write new ones there.
#[derive(Debug)]
struct ProfileKeys {
    files: Files,
    name: String,
}

#[async_trait]
impl Lender for ProfileKeys {
    fn name(&self) -> &'static str {
        "profile"
    }

    async fn lend(&self) -> Result<Lease> {
        let profiles = self.files.read()?;
        let profile = profiles.named(&self.name)?;
        // The keys of one file only: a token of the other belongs to other keys.
        let table =
            if value(profile.credentials, KEY).is_some() { profile.credentials } else { profile.config };
        match (value(table, KEY), value(table, SECRET)) {
            (Some(key), Some(secret)) => {
                let token = value(table, TOKEN).or_else(|| value(table, "aws_security_token"));
                Lease::of(key, secret, token).map_err(|error| error.with("profile", &self.name))
            }
            _ => Err(invalid("the profile has only half a pair of keys", &profile)
                .hint("aws_access_key_id and aws_secret_access_key go together")),
        }
    }
}

#[cfg(test)]
mod tests;
