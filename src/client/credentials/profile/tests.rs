//! Profiles in real files.

use super::*;

fn home(config: &str, credentials: &str) -> (tempfile::TempDir, Environment) {
    let home = super::super::server::home(config, credentials);
    let environment = Environment::new([], Some(home.path().to_owned()));
    (home, environment)
}

const CONFIG: &str = "[default]\nregion = us-west-2\n[profile etl]\nregion = eu-west-1\nendpoint_url = http://all:1\n\
    [profile lake]\nservices = here\nendpoint_url = http://all:1\n[services here]\ns3 =\n  endpoint_url = http://s3:1\n\
    [profile \"two words\"]\nregion=\n[other]\nregion = nowhere\n";

fn found(settings: &S3Settings, environment: &Environment) -> (Option<String>, Option<String>) {
    let found = super::settings(settings, environment).expect("reads");
    (found.region, found.endpoint_url)
}

#[test]
fn region_and_endpoint_come_from_the_profile_where_nothing_is_said() {
    let (_home, environment) = home(CONFIG, "");
    let of = |settings: S3Settings| found(&settings, &environment);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(of(S3Settings::default()), (some("us-west-2"), None));
    assert_eq!(of(S3Settings::default().with_profile("etl")), (some("eu-west-1"), some("http://all:1")));
    assert_eq!(of(S3Settings::default().with_profile("lake")), (None, some("http://s3:1")));
    let said = S3Settings::default().with_profile("etl").with_region("x");
    assert_eq!(of(said.clone()), (None, some("http://all:1")));
    assert_eq!(of(said.with_endpoint_url("http://y")), (None, None));
    assert_eq!(of(S3Settings::default().with_profile("two words")), (None, None));
}

#[test]
fn a_profile_that_does_not_exist_is_an_error_that_lists_the_known_ones() {
    let (_home, environment) = home(CONFIG, "[more]\naws_access_key_id = canary\n");
    let error =
        super::settings(&S3Settings::default().with_profile("elt"), &environment).expect_err("unknown");
    assert_eq!(error.to_string(), "this profile does not exist (profile: elt)");
    assert_eq!(error.hint_text(), Some("known profiles: default, etl, lake, more, two words"));
}

#[test]
fn without_files_nothing_is_found_and_nothing_fails() {
    let empty = tempfile::tempdir().expect("a folder");
    let environment = Environment::new([], Some(empty.path().to_owned()));
    assert_eq!(found(&S3Settings::default(), &environment), (None, None));
    assert_eq!(found(&S3Settings::default(), &Environment::default()), (None, None));
    let error = super::settings(&S3Settings::default().with_profile("x"), &environment).expect_err("unknown");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("aws configure")));
}

#[test]
fn a_broken_line_is_told_by_file_and_number() {
    let (_home, environment) = home("", "[default]\naws_secret_access_key canary\n");
    let error = super::settings(&S3Settings::default(), &environment).expect_err("broken");
    let told = format!("{error:?}");
    assert!(told.contains("credentials, line: 2") && !told.contains("canary"), "{told}");
}

#[test]
fn the_file_with_credentials_wins() {
    let (_home, environment) = home("[default]\nregion = a\n", "[default]\nregion = b\n");
    assert_eq!(found(&S3Settings::default(), &environment).0.as_deref(), Some("b"));
}
