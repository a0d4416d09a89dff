//! A secret is handed to every source and looked for in all that a source prints: `Debug`, errors, and what is
//! logged on the finest level.

use std::fmt::Write;
use std::sync::{Arc, Mutex, Once};

use chrono::Utc;
use tracing::field::{Field, Visit};
use tracing::span;

use super::server::{self, Reply, Seen, Server, http, run};
use super::{Credentials, Environment, S3Settings};

/// Writes down every event and every field of a span.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0.lock().expect("the log"), "{field}={value:?} ");
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut self.clone());
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Wants every event, and drops it.
struct Want;

impl tracing::Subscriber for Want {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

const JSON: &str = r#"{"Version":1,"AccessKeyId":"canary","SecretAccessKey":"canary","Token":"canary","SessionToken":"canary",
    "Expiration":"2199-01-01T00:00:00Z"}"#;
const XML: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>canary</AccessKeyId>\
    <SecretAccessKey>canary</SecretAccessKey><SessionToken>canary</SessionToken>\
    <Expiration>2199-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";

/// All that a source is made from: settings, the configuration and the variables.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [(&'a str, &'a str)]);

/// `tracing` asks the subscriber of the thread that comes to an event first whether anyone wants it, and remembers
/// the answer for all threads: so every thread has one that wants all.
fn want_all_on_every_thread() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Want).expect("the only subscriber of all threads");
    });
}

/// What the source printed along its way; whether it lent keys.
fn printed((settings, config, vars): Case<'_>) -> (String, bool) {
    let home = server::home(config, "");
    let login = home.path().join(".aws/sso/cache");
    std::fs::create_dir_all(&login).expect("a folder");
    let token = r#"{"accessToken":"canary","expiresAt":"2199-01-01T00:00:00Z"}"#;
    std::fs::write(login.join("a0f1490a20d0211c997b44bc357e1972deab8ae3.json"), token).expect("write");
    let mut said = S3Settings::default();
    for (name, value) in settings {
        said.set(name, value).expect("a setting");
    }
    let environment = Environment::new(vars.iter().copied(), Some(home.path().to_owned()));
    want_all_on_every_thread();
    let log = Log::default();
    let mut text = String::new();
    let lent = tracing::subscriber::with_default(log.clone(), || {
        let found = Credentials::in_environment(&said, &http(), environment, Arc::new(Utc::now));
        let source = match found {
            Ok(source) => source.expect("signed"),
            Err(error) => {
                let _ = write!(text, "{error} {error:?}");
                return false;
            }
        };
        let lease = run(source.get());
        let _ = write!(text, "{source:?} {} {lease:?}", source.source());
        if let Ok(lease) = &lease {
            let _ = write!(text, "{:?}", run(source.renew(&lease.credential)));
        }
        lease.is_ok()
    });
    let log = log.0.lock().expect("the log");
    assert!(log.contains("source="), "the log was not written: {log}");
    (format!("{text}\n{log}"), lent)
}

fn looked_for(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static, lends: bool) {
    let server = Server::start(answer);
    let url = server.url("/");
    let secret_url = server.url("/?canary");
    let keys = "aws_access_key_id = canary\naws_secret_access_key = canary\naws_session_token = canary\n";
    let role = format!(
        "[default]\nrole_arn = r\nsource_profile = base\nexternal_id = canary\n[profile base]\n{keys}"
    );
    let process = format!("[default]\ncredential_process = echo '{}' # canary\n", JSON.replace('\n', " "));
    let sso = "[default]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\nsso_region = x\n";
    let static_keys = format!("[default]\n{keys}");
    let container = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", secret_url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary"),
    ];
    let vending = [
        ("credentials_url", secret_url.as_str()),
        ("credentials_token", "canary"),
        ("credentials_params", "x=canary"),
    ];
    let local: [Case<'_>; 3] = [
        (
            &[("access_key_id", "canary"), ("secret_access_key", "canary"), ("session_token", "canary")],
            "",
            &[],
        ),
        (&[], &static_keys, &[]),
        (&[], &process, &[]),
    ];
    let remote: [Case<'_>; 5] = [
        (&vending, "", &[]),
        (&[], "", &container),
        (&[], &role, &[("AWS_ENDPOINT_URL_STS", &url)]),
        (&[], sso, &[("AWS_ENDPOINT_URL_SSO", &url)]),
        (&[], "", &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]),
    ];
    for (number, case) in local.into_iter().chain(remote).enumerate() {
        let (text, lent) = printed(case);
        assert!(!text.contains("canary"), "case {number}: {text}");
        assert_eq!(lent, lends || number < 3, "case {number}: {text}");
    }
}

#[test]
fn no_source_that_lends_keys_prints_them() {
    looked_for(
        |seen| match seen.method.as_str() {
            "POST" if seen.body.starts_with("Action=") => Reply::text(XML),
            "PUT" => Reply::text("canary"),
            _ if seen.target.ends_with("credentials/") => Reply::text("etl"),
            _ => Reply::json(JSON),
        },
        true,
    );
}

#[test]
fn no_source_that_is_refused_prints_what_was_sent_or_answered() {
    looked_for(
        |_| {
            let mut reply = Reply::json(r#"{"error":"canary"}"#);
            reply.set_status(403);
            reply
        },
        false,
    );
    looked_for(|_| Reply::text("canary"), false);
}
