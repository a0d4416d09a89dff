//! The order of the sources, and what is said when there is none.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::super::server::{self, http, run};
use super::*;

const KEYS: &str = "aws_access_key_id = AK\naws_secret_access_key = SK\n";
const WEB: [(&str, &str); 2] = [(TOKEN_FILE, "/token"), ("AWS_ROLE_ARN", "arn:web")];
const POD: (&str, &str) = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/keys");

fn chosen(settings: &S3Settings, config: &str, vars: &[(&str, &str)]) -> Result<Choice> {
    let home = server::home(config, "");
    let environment = Environment::new(vars.iter().copied(), Some(home.path().to_owned()));
    choose(settings, &Ground::new(settings, &http(), environment))
}

fn source(settings: &S3Settings, config: &str, vars: &[(&str, &str)]) -> String {
    chosen(settings, config, vars).expect("a source").source
}

#[test]
fn the_order_is_that_of_the_aws_command_line() {
    let all = [WEB[0], WEB[1], POD];
    let config = format!("[default]\n{KEYS}[profile etl]\n{KEYS}[profile bare]\nregion = x\n");
    let none = S3Settings::default();
    let named = none.clone().with_profile("etl");
    let mut service = named.clone();
    service.set("credentials_url", "https://keys.example:8443/x?canary").expect("a setting");
    let pair = service.clone().with_access_key_id("a").with_secret_access_key("b");
    assert_eq!(source(&pair, &config, &all), "access key that was set");
    assert_eq!(source(&service, &config, &all), "credentials service keys.example:8443");
    assert_eq!(source(&named, &config, &all), "profile etl (keys)");
    assert_eq!(source(&none, &config, &all), "web identity");
    assert_eq!(source(&none, &config, &[POD]), "profile default (keys)");
    assert_eq!(source(&none, "", &[POD]), "container endpoint");
    assert_eq!(source(&none.clone().with_profile("bare"), &config, &[POD]), "container endpoint");
    assert_eq!(source(&none, "", &[]), "instance metadata");
}

#[test]
fn a_role_of_the_default_profile_goes_before_a_web_identity() {
    let config = format!("[default]\nrole_arn = r\nsource_profile = base\n[profile base]\n{KEYS}");
    assert_eq!(source(&S3Settings::default(), &config, &WEB), "profile default (assume role)");
}

#[test]
fn a_named_profile_that_is_missing_is_not_passed_over() {
    let error = chosen(&S3Settings::default().with_profile("elt"), "", &[POD]).map(|choice| choice.source);
    assert_eq!(error.expect_err("missing").kind(), ErrorKind::NotFound);
}

#[test]
fn a_web_identity_without_a_role_is_refused() {
    let error = chosen(&S3Settings::default(), "", &WEB[..1]).map(|choice| choice.source).expect_err("half");
    assert_eq!(error.hint_text(), Some("set AWS_ROLE_ARN as well"));
}

#[test]
fn nothing_found_is_one_clear_error_at_once() {
    let disabled = [("AWS_EC2_METADATA_DISABLED", "true")];
    let error = chosen(&S3Settings::default(), "", &disabled).map(|choice| choice.source).expect_err("none");
    assert_eq!(
        error.to_string(),
        "no credentials were found (looked at: access key: none set; profile default: does not exist; web identity: \
         AWS_WEB_IDENTITY_TOKEN_FILE is not set; container endpoint: none is set; instance metadata: disabled by \
         AWS_EC2_METADATA_DISABLED)"
    );
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);

    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let choice = chosen(&S3Settings::default(), "", &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]);
    let start = Instant::now();
    let error = run(choice.expect("a source").lender.lend()).expect_err("nobody answers");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!((error.kind(), error.message()), (ErrorKind::PermissionDenied, "no credentials were found"));
    assert!(
        error.to_string().contains("instance metadata: the service that lends keys did not answer in time")
    );
    assert!(error.hint_text().is_some_and(|hint| hint.contains("--no-sign-request")));
}
