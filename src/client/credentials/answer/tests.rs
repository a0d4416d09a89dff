//! Answers as they are met, and answers that must not be guessed at.

use super::*;

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn read(json: &str, fields: &str) -> Result<Lease> {
    lease(json.as_bytes(), at(), &Fields::parse(fields)?)
}

fn keys(lease: &Lease) -> (&str, &str, Option<&str>) {
    let keys = &lease.credential;
    (&keys.key_id, &keys.secret_key, keys.token.as_deref())
}

#[test]
fn the_container_format_is_read() {
    let json =
        r#"{"AccessKeyId":"AK","SecretAccessKey":"SK","Token":"ST","Expiration":"2027-01-15T09:00:00Z"}"#;
    let lease = read(json, "").expect("keys");
    assert_eq!(keys(&lease), ("AK", "SK", Some("ST")));
    assert_eq!(lease.expires, Some(at() + TimeDelta::hours(1)));
}

#[test]
fn nested_keys_are_found_with_what_stands_around_them() {
    let json = r#"{"token":"api","expires_in":900,"credentials":{"s3":{"access_key_id":"AK","secret_key":"SK",
        "session_token":"ST","bucket_name":"lake","endpoint_url":"https://h","region_name":"eu-west-3"}}}"#;
    let lease = read(json, "").expect("keys");
    assert_eq!(keys(&lease), ("AK", "SK", Some("ST")));
    assert_eq!(lease.expires, Some(at() + TimeDelta::minutes(15)));
    let place = Place {
        bucket: Some("lake".to_owned()),
        endpoint_url: Some("https://h".to_owned()),
        region: Some("eu-west-3".to_owned()),
    };
    assert_eq!(lease.place, place);
}

#[test]
fn a_token_for_the_service_is_not_one_for_storage() {
    let json = r#"{"token":"api","keys":{"accessKey":"AK","secretKey":"SK"}}"#;
    assert_eq!(keys(&read(json, "").expect("keys")), ("AK", "SK", None));
}

#[test]
fn a_mapping_leads_to_the_rest() {
    let json = r#"{"items":[{"user":"AK","pass":"SK","until":1800003600}],"store":"lake"}"#;
    let fields =
        "access_key_id=items.0.user, secret_access_key=items.0.pass, expiration=items.0.until, bucket=store";
    let lease = read(json, fields).expect("keys");
    assert_eq!(keys(&lease), ("AK", "SK", None));
    assert_eq!(lease.expires, Some(at() + TimeDelta::hours(1)));
    assert_eq!(lease.place.bucket.as_deref(), Some("lake"));
    assert!(read(json, &fields.replace("until", "untill")).is_err());
}

#[test]
fn every_spelling_of_a_time_is_read() {
    let expires = |field: &str| {
        read(&format!(r#"{{"accessKey":"AK","secretKey":"SK",{field}}}"#), "").map(|lease| lease.expires)
    };
    let hour = Some(at() + TimeDelta::hours(1));
    for field in [
        r#""expiration":"2027-01-15T09:00:00Z""#,
        r#""expiration":"2027-01-15T10:00:00+01:00""#,
        r#""expiration":"2027-01-15T09:00:00UTC""#,
        r#""expiration":"2027-01-15 09:00:00.000""#,
        r#""expires_at":1800003600"#,
        r#""expires_at":1800003600.7"#,
        r#""expires_at":"1800003600""#,
        r#""expiration":1800003600000"#,
        r#""expiresIn":3600"#,
        r#""expiry":3600"#,
    ] {
        assert_eq!(expires(field).expect(field), hour, "{field}");
    }
    assert_eq!(expires(r#""expiration":null"#).expect("keys"), None);
    for field in
        [r#""expiration":"soon""#, r#""expiration":{}"#, r#""expires_in":9e300"#, r#""expiration":true"#]
    {
        assert!(expires(field).is_err(), "{field}");
    }
}

#[test]
fn keys_side_by_side_are_not_chosen_between() {
    let json = r#"{"a":{"accessKey":"A","secretKey":"S"},"b":{"accessKey":"B","secretKey":"T"}}"#;
    assert!(read(json, "").is_err());
    let chosen = read(json, "access_key_id=b.accessKey,secret_access_key=b.secretKey").expect("keys");
    assert_eq!(keys(&chosen), ("B", "T", None));
}

#[test]
fn nothing_of_an_answer_is_in_an_error() {
    for json in [
        "canary",
        r#""canary""#,
        "{\"canary\":",
        r#"{"AccessKeyId":"canary"}"#,
        r#"{"AccessKeyId":"canary","SecretAccessKey":{"canary":1}}"#,
        r#"{"AccessKeyId":"canary","SecretAccessKey":"canary\n"}"#,
        r#"{"AccessKeyId":"canary","SecretAccessKey":"canary","Expiration":"canary"}"#,
    ] {
        let error = read(json, "").expect_err(json);
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

#[test]
fn a_field_that_is_not_known_is_refused() {
    let error = Fields::parse("secret=a.b").expect_err("refused");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("secret_access_key")));
    assert!(!format!("{:?}", Fields::parse("canary").expect_err("refused")).contains("canary"));
}
