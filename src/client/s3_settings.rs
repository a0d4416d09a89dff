//! What can be said of an S3 service and how to sign for it: one list gives each setting its field, its
//! documentation, its variables and its flag.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::core::location::redacted;
use crate::error::{Error, ErrorKind, Result};

/// One setting, for whoever makes flags, documentation or a file of them.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Setting {
    /// The name of the field, and of the key in `keyfold.toml`.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// The variables that say it, the strongest first.
    pub variables: &'static [&'static str],
    /// What the value looks like in `--help`; `None` for a switch.
    pub value_name: Option<&'static str>,
    /// Whether the value must never print.
    pub secret: bool,
}

impl Setting {
    /// The flag, without its dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// How a value is held, read from text, and shown.
trait Value: Sized {
    const SECRET: bool = false;
    const SWITCH: bool = false;

    fn read(text: &str) -> Result<Self, &'static str>;

    fn shown(&self) -> String;
}

impl Value for String {
    fn read(text: &str) -> Result<Self, &'static str> {
        Ok(text.to_owned())
    }

    /// A URL may hold a secret in its query or user information.
    fn shown(&self) -> String {
        redacted(self)
    }
}

impl Value for SecretString {
    const SECRET: bool = true;

    fn read(text: &str) -> Result<Self, &'static str> {
        Ok(text.to_owned().into())
    }

    fn shown(&self) -> String {
        "******".to_owned()
    }
}

impl Value for bool {
    const SWITCH: bool = true;

    fn read(text: &str) -> Result<Self, &'static str> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err("true or false"),
        }
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty, $value_name:literal, [$($variable:literal),*];)+) => {
        /// Settings of an S3 service. What is not set is looked up elsewhere or has a default.
        ///
        /// Secrets are held in a type that does not print them.
        ///
        /// ```
        /// use keyfold::S3Settings;
        ///
        /// let settings = S3Settings::default()
        ///     .with_endpoint_url("http://127.0.0.1:9000")
        ///     .with_access_key_id("minio")
        ///     .with_secret_access_key("canary")
        ///     .with_allow_http(true);
        /// assert!(!format!("{settings:?}").contains("canary"));
        /// ```
        #[derive(Clone, Default)]
        #[non_exhaustive]
        pub struct S3Settings {
            $($(#[doc = $doc])+ pub $name: Option<$type>,)+
        }

        impl S3Settings {
            /// All settings, in the order in which `--help` shows them.
            pub const ALL: &'static [Setting] = &[$(Setting {
                name: stringify!($name),
                doc: concat!($($doc, "\n"),+),
                variables: &[$($variable),*],
                value_name: if <$type as Value>::SWITCH { None } else { Some($value_name) },
                secret: <$type as Value>::SECRET,
            }),+];

            /// Sets what is called `name` from text.
            ///
            /// # Errors
            ///
            /// `Usage` for a name that is not known or a value that cannot be read.
            pub fn set(&mut self, name: &str, text: &str) -> Result<()> {
                match name {
                    $(stringify!($name) => self.$name = Some(read(name, text)?),)+
                    _ => return Err(unknown(name)),
                }
                Ok(())
            }

            /// Whether what is called `name` is set.
            #[must_use]
            pub fn has(&self, name: &str) -> bool {
                match name {
                    $(stringify!($name) => self.$name.is_some(),)+
                    _ => false,
                }
            }

            /// These settings, and those of `other` where nothing is set here. Where keys come from is said once: if
            /// it is said here, `other` is not asked for another source, nor for the rest of a key.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                let other = if self.names_keys() { other.without_keys() } else { other };
                Self { $($name: self.$name.or(other.$name)),+ }
            }
        }

        /// Secrets do not print, URLs without user information and query.
        impl fmt::Debug for S3Settings {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut shown = f.debug_struct("S3Settings");
                $(if let Some(value) = &self.$name {
                    shown.field(stringify!($name), &Value::shown(value));
                })+
                shown.finish()
            }
        }
    };
}

settings! {
    /// URL of the service, if it is not that of AWS.
    endpoint_url: String, "URL", ["KEYFOLD_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    /// Region of the bucket [default: that of the profile, else us-east-1]
    region: String, "REGION", ["KEYFOLD_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"];
    /// Section of the files in ~/.aws to take credentials and region from.
    profile: String, "NAME", ["KEYFOLD_PROFILE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"];
    /// Access key; goes with a secret access key.
    access_key_id: SecretString, "KEY", ["KEYFOLD_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"];
    /// Secret of the access key; a variable is safer than a flag, which other users of the machine can see.
    secret_access_key: SecretString, "SECRET", ["KEYFOLD_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"];
    /// Token of temporary keys.
    session_token: SecretString, "TOKEN", ["KEYFOLD_SESSION_TOKEN", "AWS_SESSION_TOKEN"];
    /// Sign no request, for public buckets.
    no_sign_request: bool, "BOOL", ["KEYFOLD_NO_SIGN_REQUEST"];
    /// Speak plain HTTP to a service that is not on this machine.
    allow_http: bool, "BOOL", ["KEYFOLD_ALLOW_HTTP", "AWS_ALLOW_HTTP"];
    /// Put the bucket into the path instead of the host name [default: true for other services than AWS]
    path_style: bool, "BOOL", ["KEYFOLD_PATH_STYLE"];
    /// Trust that nobody else writes, on a service that ignores the conditions of a request.
    single_writer: bool, "BOOL", ["KEYFOLD_SINGLE_WRITER"];
    /// URL of an HTTP service that lends temporary keys.
    credentials_url: String, "URL", ["KEYFOLD_CREDENTIALS_URL"];
    /// Token for the service that lends keys.
    credentials_token: SecretString, "TOKEN", ["KEYFOLD_CREDENTIALS_TOKEN"];
    /// File with the token for the service that lends keys, read anew each time.
    credentials_token_file: String, "FILE", ["KEYFOLD_CREDENTIALS_TOKEN_FILE"];
    /// What to send to the service that lends keys: pairs such as bucket=lake,role=etl.
    credentials_params: SecretString, "NAME=VALUE,…", ["KEYFOLD_CREDENTIALS_PARAMS"];
    /// Where the answer of that service has its values: pairs such as `secret_access_key=storage.secret_key`.
    credentials_fields: String, "NAME=PATH,…", ["KEYFOLD_CREDENTIALS_FIELDS"];
}

impl S3Settings {
    /// What the variables of the environment say; an empty one counts as unset. Those of keyfold are stronger than
    /// those of AWS.
    ///
    /// # Errors
    ///
    /// `Usage` for a value that cannot be read.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|variable| std::env::var(variable).ok())
    }

    fn from_variables(variables: impl Fn(&str) -> Option<String>) -> Result<Self> {
        Ok(Self::from_family("KEYFOLD_", &variables)?.or(Self::from_family("AWS_", &variables)?))
    }

    /// What the variables say whose names begin so.
    fn from_family(family: &str, variables: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut settings = Self::default();
        for setting in Self::ALL {
            let family = setting.variables.iter().filter(|variable| variable.starts_with(family));
            let said = family
                .filter_map(|variable| Some((variable, variables(variable)?)))
                .find(|(_, value)| !value.is_empty());
            if let Some((variable, value)) = said {
                settings.set(setting.name, &value).map_err(|error| error.with("variable", variable))?;
            }
        }
        // A token that was left behind is no key; the AWS command line pays no heed to it, either.
        if settings.access_key_id.is_none() && settings.secret_access_key.is_none() {
            settings.session_token = None;
        }
        Ok(settings)
    }

    /// Whether these settings say where keys come from.
    fn names_keys(&self) -> bool {
        self.access_key_id.is_some()
            || self.secret_access_key.is_some()
            || self.session_token.is_some()
            || self.profile.is_some()
            || self.credentials_url.is_some()
    }

    /// The same without what says where keys come from; the profile stays, because of its region.
    fn without_keys(self) -> Self {
        Self {
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            credentials_url: None,
            no_sign_request: None,
            ..self
        }
    }

    /// Sets the URL of the service.
    #[must_use]
    pub fn with_endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Sets the region of the bucket.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets the section of the files in `~/.aws`.
    #[must_use]
    pub fn with_profile(mut self, name: impl Into<String>) -> Self {
        self.profile = Some(name.into());
        self
    }

    /// Sets the access key.
    #[must_use]
    pub fn with_access_key_id(mut self, key: impl Into<String>) -> Self {
        self.access_key_id = Some(key.into().into());
        self
    }

    /// Sets the secret of the access key.
    #[must_use]
    pub fn with_secret_access_key(mut self, key: impl Into<String>) -> Self {
        self.secret_access_key = Some(key.into().into());
        self
    }

    /// Sets the token of temporary keys.
    #[must_use]
    pub fn with_session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(token.into().into());
        self
    }

    /// Allows plain HTTP to a service that is not on this machine.
    #[must_use]
    pub fn with_allow_http(mut self, allow: bool) -> Self {
        self.allow_http = Some(allow);
        self
    }

    /// The three parts of a key pair that was said outright.
    ///
    /// # Errors
    ///
    /// `Usage` for half a pair.
    pub(crate) fn key_pair(&self) -> Result<Option<(&str, &str, Option<&str>)>> {
        match (&self.access_key_id, &self.secret_access_key) {
            (Some(key), Some(secret)) => Ok(Some((
                key.expose_secret(),
                secret.expose_secret(),
                self.session_token.as_ref().map(ExposeSecret::expose_secret),
            ))),
            (None, None) if self.session_token.is_some() => {
                Err(Error::new(ErrorKind::Usage, "a session token goes with an access key and its secret")
                    .hint("set all three in one place, or none to use a profile"))
            }
            (None, None) => Ok(None),
            _ => Err(Error::new(ErrorKind::Usage, "access key and secret access key go together")
                .hint("set both in one place, or neither to use a profile")),
        }
    }
}

fn read<T: Value>(name: &str, text: &str) -> Result<T> {
    T::read(text).map_err(|expected| {
        Error::new(ErrorKind::Usage, "a setting cannot be read")
            .with("setting", name)
            .with("expected", expected)
    })
}

fn unknown(name: &str) -> Error {
    let known: Vec<_> = S3Settings::ALL.iter().map(|setting| setting.name).collect();
    Error::new(ErrorKind::Usage, "unknown setting")
        .with("setting", name)
        .hint(format!("known settings: {}", known.join(", ")))
}

#[cfg(test)]
mod tests;
