//! SSO with a login in a real cache, asked over real connections.

use super::super::environment::Environment;
use super::super::profile::Files;
use super::super::server::{self, Reply, Seen, Server, http, run};
use super::*;
use crate::client::s3_settings::S3Settings;

const CONFIG: &str = "[profile new]\nsso_session = corp\nsso_account_id = 123\nsso_role_name = etl\n\
    [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.example/start\n\
    [profile old]\nsso_start_url = https://corp.example/start\nsso_region = eu-west-1\nsso_account_id = 123\n\
    sso_role_name = etl\n[profile half]\nsso_account_id = 123\n";

/// The names that the aws command line gives to the logins of these two profiles.
const NEW: &str = "ee0bfd2552fbd840c02cc48b6e823320543c450f";
const OLD: &str = "f7c9b39d0b4c7a7d82c79307585f77e1c5e74378";

const KEYS: &str = r#"{"roleCredentials":{"accessKeyId":"AK","secretAccessKey":"SK","sessionToken":"ST","expiration":7226582400000}}"#;

fn cache(home: &tempfile::TempDir, name: &str, login: &str) {
    let folder = home.path().join(".aws/sso/cache");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(format!("{name}.json")), login).expect("write");
}

fn sso(home: &tempfile::TempDir, url: &str, profile: &str) -> Result<Option<Sso>> {
    let environment = Environment::new([("AWS_ENDPOINT_URL_SSO", url)], Some(home.path().to_owned()));
    let profiles = Files::of(&environment).read()?;
    let ground = Ground::new(&S3Settings::default(), &http(), environment);
    Sso::find(&ground, &profiles, &profiles.named(profile)?)
}

fn lend(home: &tempfile::TempDir, url: &str, profile: &str) -> Result<Lease> {
    run(sso(home, url, profile)?.expect("a profile with SSO").lend())
}

#[test]
fn a_login_of_either_form_lends_keys() {
    let server = Server::start(|_| Reply::json(KEYS));
    let home = server::home(CONFIG, "");
    for (profile, name, until) in
        [("new", NEW, "2199-01-01T00:00:00Z"), ("old", OLD, "2199-01-01T00:00:00UTC")]
    {
        cache(&home, name, &format!(r#"{{"accessToken":"canary","expiresAt":"{until}","region":"x"}}"#));
        let lease = lend(&home, &server.url("/"), profile).expect(profile);
        assert_eq!(lease.credential.token.as_deref(), Some("ST"));
        assert_eq!(lease.expires.map(|at| at.timestamp()), Some(7_226_582_400));
    }
    let seen: &Seen = &server.seen()[0];
    assert_eq!(seen.target, "/federation/credentials?role_name=etl&account_id=123");
    assert_eq!(seen.header("x-amz-sso_bearer_token"), Some("canary"));
}

#[test]
fn without_a_login_that_holds_the_hint_is_to_log_in() {
    let server = Server::start(|_| Reply::status(401));
    let home = server::home(CONFIG, "");
    let messages: Vec<_> = [
        None,
        Some("canary"),
        Some(r#"{"accessToken":"canary","expiresAt":"2020-01-01T00:00:00Z"}"#),
        Some(r#"{"accessToken":"canary","expiresAt":"2199-01-01T00:00:00Z"}"#),
    ]
    .into_iter()
    .map(|login| {
        if let Some(login) = login {
            cache(&home, NEW, login);
        }
        let error = lend(&home, &server.url("/"), "new").expect_err("no login");
        assert_eq!(error.hint_text(), Some("aws sso login --profile new"));
        assert!(error.kind() == ErrorKind::PermissionDenied && !format!("{error:?}").contains("canary"));
        error.message().to_owned()
    })
    .collect();
    let expected = [
        "there is no SSO login",
        "the SSO login cannot be read",
        "the SSO login has expired",
        "the SSO login is no longer valid",
    ];
    assert_eq!(messages, expected);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn half_a_description_is_refused() {
    let home = server::home(CONFIG, "");
    let error = sso(&home, "http://127.0.0.1:1", "half").expect_err("half");
    assert!(error.to_string().contains("lacks: sso_region"), "{error}");
}
