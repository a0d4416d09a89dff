//! Which source of keys is used: the first that is there, in the order of the AWS command line.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::client::HttpClient;

use super::container::Container;
use super::environment::Environment;
use super::instance::Instance;
use super::profile::{Files, Profiles};
use super::sts::{Role, Sts, WebIdentity};
use super::vending::Vending;
use super::{Lease, Lender, profile_lender};
use crate::client::http::Plain;
use crate::client::s3_settings::S3Settings;
use crate::error::{Error, ErrorKind, Result};

const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";

/// What sources are made from.
pub(super) struct Ground {
    pub(super) environment: Environment,
    pub(super) http: HttpClient,
    pub(super) plain: Plain,
    /// That of the services of AWS, if it is known.
    pub(super) region: Option<String>,
}

impl Ground {
    pub(super) fn new(settings: &S3Settings, http: &HttpClient, environment: Environment) -> Self {
        let plain = if settings.allow_http == Some(true) { Plain::Anywhere } else { Plain::Loopback };
        // The region of another service ("auto", "garage") says nothing about AWS.
        let region = settings.region.clone().filter(|_| settings.endpoint_url.is_none());
        Self { environment, http: http.clone(), plain, region }
    }
}

/// A source, and what people call it.
pub(super) struct Choice {
    pub(super) lender: Arc<dyn Lender>,
    pub(super) source: String,
}

impl Choice {
    fn new(lender: impl Lender + 'static) -> Self {
        let source = lender.name().to_owned();
        Self { lender: Arc::new(lender), source }
    }
}

/// # Errors
///
/// What is wrong with the source that is named, or `PermissionDenied` if there is none.
pub(super) fn choose(settings: &S3Settings, ground: &Ground) -> Result<Choice> {
    if let Some((key, secret, token)) = settings.key_pair()? {
        return Ok(Choice::new(Fixed {
            lease: Lease::of(key, secret, token)?,
            name: "access key that was set",
        }));
    }
    if let Some(url) = &settings.credentials_url {
        let vending = Vending::new(url, settings, &ground.http, ground.plain)?;
        let source = format!("credentials service {}", vending.host());
        return Ok(Choice { lender: Arc::new(vending), source });
    }
    let mut looked = vec!["access key: none set".to_owned()];
    match in_profile_or_pod(settings, ground, &mut looked)? {
        Some(choice) => Ok(choice),
        None => on_machine(ground, looked),
    }
}

/// A named profile goes before everything else in the environment. Without a name a web identity goes before the
/// keys of the default profile, but not before a role that it takes, as in botocore.
fn in_profile_or_pod(
    settings: &S3Settings,
    ground: &Ground,
    looked: &mut Vec<String>,
) -> Result<Option<Choice>> {
    let profiles = Files::of(&ground.environment).read()?;
    let Some(name) = &settings.profile else { return in_default(ground, &profiles, looked) };
    looked.push(format!("profile {name}: no credentials in it"));
    if let Some(choice) = profile_lender::role(ground, &profiles, name)? {
        return Ok(Some(choice));
    }
    match profile_lender::own(ground, &profiles, name)? {
        Some(choice) => Ok(Some(choice)),
        None => web_identity(ground, looked),
    }
}

fn in_default(ground: &Ground, profiles: &Profiles, looked: &mut Vec<String>) -> Result<Option<Choice>> {
    let name = "default";
    if profiles.get(name).is_none() {
        looked.push("profile default: does not exist".to_owned());
        return web_identity(ground, looked);
    }
    looked.push("profile default: no credentials in it".to_owned());
    if let Some(choice) = profile_lender::role(ground, profiles, name)? {
        return Ok(Some(choice));
    }
    match web_identity(ground, looked)? {
        Some(choice) => Ok(Some(choice)),
        None => profile_lender::own(ground, profiles, name),
    }
}

fn web_identity(ground: &Ground, looked: &mut Vec<String>) -> Result<Option<Choice>> {
    let environment = &ground.environment;
    let Some(file) = environment.get(TOKEN_FILE) else {
        looked.push(format!("web identity: {TOKEN_FILE} is not set"));
        return Ok(None);
    };
    let arn = environment.get("AWS_ROLE_ARN").ok_or_else(|| {
        Error::new(ErrorKind::Usage, "a web identity needs a role")
            .with("variable", TOKEN_FILE)
            .hint("set AWS_ROLE_ARN as well")
    })?;
    let session_name = environment.get("AWS_ROLE_SESSION_NAME").map(str::to_owned);
    Ok(Some(Choice::new(WebIdentity {
        sts: Sts::new(ground, None)?,
        role: Role { arn: arn.to_owned(), session_name, duration: None },
        token_file: environment.path(file),
    })))
}

/// What the machine itself has.
fn on_machine(ground: &Ground, mut looked: Vec<String>) -> Result<Choice> {
    if let Some(container) = Container::find(&ground.environment, &ground.http)? {
        return Ok(Choice::new(container));
    }
    looked.push("container endpoint: none is set".to_owned());
    let Some(instance) = Instance::find(&ground.environment, &ground.http)? else {
        looked.push("instance metadata: disabled by AWS_EC2_METADATA_DISABLED".to_owned());
        return Err(nothing(&looked));
    };
    Ok(Choice::new(LastResort { instance, looked }))
}

fn nothing(looked: &[String]) -> Error {
    Error::new(ErrorKind::PermissionDenied, "no credentials were found")
        .with("looked at", looked.join("; "))
        .hint(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with --profile; \
         a public bucket needs --no-sign-request",
        )
}

/// The instance's metadata, asked because nothing else was there.
#[derive(Debug)]
struct LastResort {
    instance: Instance,
    looked: Vec<String>,
}

#[async_trait]
impl Lender for LastResort {
    fn name(&self) -> &'static str {
        self.instance.name()
    }

    async fn lend(&self) -> Result<Lease> {
        self.instance.lend().await.map_err(|error| {
            let last = format!("instance metadata: {}", error.message());
            nothing(&[&self.looked[..], &[last]].concat()).because(error)
        })
    }
}

/// The keys in the variables of AWS, for profiles that take a role with them.
///
/// # Errors
///
/// `InvalidData` for keys that no request can carry.
pub(super) fn variables(environment: &Environment) -> Result<Option<Arc<dyn Lender>>> {
    let pair = environment.get("AWS_ACCESS_KEY_ID").zip(environment.get("AWS_SECRET_ACCESS_KEY"));
    let Some((key, secret)) = pair else { return Ok(None) };
    let lease = Lease::of(key, secret, environment.get("AWS_SESSION_TOKEN"))?;
    Ok(Some(Arc::new(Fixed { lease, name: "variables" })))
}

/// Keys that do not change.
#[derive(Debug)]
struct Fixed {
    lease: Lease,
    name: &'static str,
}

#[async_trait]
impl Lender for Fixed {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn lend(&self) -> Result<Lease> {
        Ok(self.lease.clone())
    }
}

#[cfg(test)]
mod tests;
