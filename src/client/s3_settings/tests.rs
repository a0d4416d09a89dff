//! Settings: secrets that do not print, and which of two levels wins.

use super::*;

#[test]
fn secrets_do_not_print() {
    let mut settings = S3Settings::default();
    for setting in S3Settings::ALL.iter().filter(|setting| setting.secret) {
        settings.set(setting.name, "canary").expect("sets");
    }
    settings.set("endpoint_url", "https://user:canary@host?canary").expect("sets");
    assert!(!format!("{settings:?}").contains("canary"), "{settings:?}");
}

#[test]
fn what_is_set_wins_over_what_is_found_elsewhere() {
    let own = S3Settings::default().with_region("eu-west-1");
    let found = S3Settings::default().with_region("us-east-1").with_profile("etl");
    let both = own.or(found);
    assert_eq!((both.region.as_deref(), both.profile.as_deref()), (Some("eu-west-1"), Some("etl")));
}

fn keys(settings: &S3Settings) -> (&str, &str, Option<&str>) {
    settings.key_pair().expect("a pair").expect("keys")
}

#[test]
fn keys_are_taken_from_one_place() {
    let pair = |key| S3Settings::default().with_access_key_id(key).with_secret_access_key(key);
    let weaker = pair("weak").with_session_token("weak");
    assert_eq!(keys(&pair("strong").or(weaker.clone())), ("strong", "strong", None));
    assert_eq!(keys(&S3Settings::default().or(weaker.clone())), ("weak", "weak", Some("weak")));
    let half = S3Settings::default().with_access_key_id("strong").or(weaker.clone());
    assert!(half.key_pair().is_err(), "the other half is not the one that belongs to it");
    let token = S3Settings::default().with_session_token("strong").or(weaker);
    assert!(token.key_pair().is_err(), "the token belongs to other keys");
}

#[test]
fn a_stronger_source_of_keys_keeps_weaker_ones_out() {
    let mut weaker = S3Settings::default().with_access_key_id("weak").with_secret_access_key("weak");
    for (name, value) in [("credentials_url", "https://weak"), ("no_sign_request", "true"), ("region", "x")] {
        weaker.set(name, value).expect("sets");
    }
    let both = S3Settings::default().with_profile("strong").or(weaker.clone());
    assert!(both.key_pair().expect("no half").is_none());
    assert_eq!((both.credentials_url, both.no_sign_request), (None, None));
    assert_eq!(both.region.as_deref(), Some("x"));
    let mut service = S3Settings::default();
    service.set("credentials_url", "https://strong").expect("sets");
    let both = service.or(weaker.with_profile("weak"));
    assert!(both.key_pair().expect("no half").is_none());
    assert_eq!(both.credentials_url.as_deref(), Some("https://strong"));
    assert_eq!(both.profile.as_deref(), Some("weak"), "its region still counts");
}

#[test]
fn variables_of_two_families_do_not_make_one_key() {
    let said = |variables: &[(&str, &str)]| {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| *v);
        S3Settings::from_variables(|name| value(name).map(str::to_owned)).expect("settings")
    };
    let aws = [
        ("AWS_ACCESS_KEY_ID", "weak"),
        ("AWS_SECRET_ACCESS_KEY", "weak"),
        ("AWS_SESSION_TOKEN", "weak"),
        ("AWS_REGION", "x"),
    ];
    assert_eq!(keys(&said(&aws)), ("weak", "weak", Some("weak")));
    let own = [("KEYFOLD_ACCESS_KEY_ID", "strong"), ("KEYFOLD_SECRET_ACCESS_KEY", "strong")];
    let both = said(&[&own[..], &aws[..]].concat());
    assert_eq!(keys(&both), ("strong", "strong", None));
    assert_eq!(both.region.as_deref(), Some("x"));
    let profile = said(&[&[("KEYFOLD_PROFILE", "etl")][..], &aws[..]].concat());
    assert!(profile.key_pair().expect("no half").is_none());
    let left_behind = said(&[("AWS_SESSION_TOKEN", "old"), ("AWS_PROFILE", "")]);
    assert!(left_behind.key_pair().expect("no half").is_none() && left_behind.profile.is_none());
}

#[test]
fn a_value_that_cannot_be_read_is_named_and_not_shown() {
    let error = S3Settings::default().set("allow_http", "perhaps").expect_err("refused");
    assert_eq!(error.to_string(), "a setting cannot be read (setting: allow_http, expected: true or false)");
    assert!(S3Settings::default().set("colour", "red").is_err());
}

#[test]
fn half_a_key_pair_is_refused() {
    assert!(S3Settings::default().with_access_key_id("a").key_pair().is_err());
}
