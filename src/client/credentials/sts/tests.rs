//! Roles, taken over real connections.

use super::super::environment::Environment;
use super::super::server::{Reply, Seen, Server, http, run};
use super::*;
use crate::client::s3_settings::S3Settings;

fn answer(action: &str) -> String {
    format!(
        r#"<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>
           <AssumedRoleUser><Arn>x</Arn></AssumedRoleUser><Credentials><AccessKeyId>AK</AccessKeyId>
           <SecretAccessKey>SK</SecretAccessKey><SessionToken>ST</SessionToken>
           <Expiration>2199-01-01T00:00:00Z</Expiration></Credentials></{action}Result>
           <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"#
    )
}

fn ground(url: &str) -> Ground {
    let environment = Environment::new([("AWS_ENDPOINT_URL_STS", url)], None);
    Ground::new(&S3Settings::default().with_region("eu-west-1"), &http(), environment)
}

fn role() -> Role {
    Role {
        arn: "arn:aws:iam::1:role/etl".to_owned(),
        session_name: Some("s".to_owned()),
        duration: Some(900),
    }
}

#[derive(Debug)]
struct Base;

#[async_trait]
impl Lender for Base {
    fn name(&self) -> &'static str {
        "base"
    }

    async fn lend(&self) -> Result<Lease> {
        Lease::of("BASE", "canary", Some("TOKEN"))
    }
}

fn assume(url: &str) -> Result<Lease> {
    let sts = Sts::new(&ground(url), None)?;
    let external_id = Some("ext/1".to_owned().into());
    run(AssumedRole { sts, role: role(), external_id, base: Arc::new(Base) }.lend())
}

#[test]
fn a_role_is_asked_for_with_a_signature_of_other_keys() {
    let server = Server::start(|_| Reply::text(answer("AssumeRole")));
    let lease = assume(&server.url("/")).expect("keys");
    assert_eq!((lease.credential.key_id.as_str(), lease.credential.token.as_deref()), ("AK", Some("ST")));
    assert_eq!(lease.expires.map(|at| at.timestamp()), Some(7_226_582_400));
    let seen: &Seen = &server.seen()[0];
    assert_eq!(
        seen.body,
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fetl&RoleSessionName=s\
         &DurationSeconds=900&ExternalId=ext%2F1"
    );
    let signature = seen.header("authorization").expect("signed");
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=BASE/"), "{signature}");
    assert!(signature.contains("/eu-west-1/sts/aws4_request"), "{signature}");
    assert_eq!(seen.header("x-amz-security-token"), Some("TOKEN"));
}

#[test]
fn a_web_identity_is_sent_in_the_body_and_unsigned() {
    let server = Server::start(|_| Reply::text(answer("AssumeRoleWithWebIdentity")));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "canary\n").expect("write");
    let sts = Sts::new(&ground(&server.url("/")), None).expect("a service");
    let identity = WebIdentity { sts, role: role(), token_file: file.path().to_owned() };
    assert_eq!(run(identity.lend()).expect("keys").credential.secret_key, "SK");
    let seen: &Seen = &server.seen()[0];
    assert!(seen.body.ends_with("&WebIdentityToken=canary") && seen.target == "/", "{seen:?}");
    assert_eq!(seen.header("authorization"), None);
}

#[test]
fn a_refusal_tells_a_known_reason_and_nothing_else() {
    for (code, told) in [("AccessDenied", true), ("canary", false)] {
        let body = format!(
            "<ErrorResponse><Error><Code>{code}</Code><Message>canary</Message></Error></ErrorResponse>"
        );
        let server = Server::start(move |_| {
            let mut reply = Reply::text(body.clone());
            reply.set_status(403);
            reply
        });
        let error = assume(&server.url("/")).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(error.to_string().contains("reason: AccessDenied"), told, "{error}");
        assert!(
            error.to_string().contains("role/etl") && !format!("{error:?}").contains("canary"),
            "{error:?}"
        );
    }
}

#[test]
fn the_endpoint_is_that_of_the_region() {
    let ground =
        |region| Ground::new(&S3Settings::default().with_region(region), &http(), Environment::default());
    let at = |region| Sts::new(&ground(region), None).map(|sts| sts.endpoint.to_string());
    assert_eq!(at("eu-west-1").expect("a region"), "https://sts.eu-west-1.amazonaws.com/");
    assert_eq!(at("cn-north-1").expect("a region"), "https://sts.cn-north-1.amazonaws.com.cn/");
    assert!(at("evil.example/#").is_err() && at("").is_err());
}

#[test]
fn the_region_of_another_service_is_not_one_of_aws() {
    let elsewhere = S3Settings::default().with_region("auto").with_endpoint_url("https://r2.example");
    let ground = Ground::new(&elsewhere, &http(), Environment::default());
    let sts = Sts::new(&ground, Some("eu-west-3")).expect("a service");
    assert_eq!(sts.endpoint.as_str(), "https://sts.eu-west-3.amazonaws.com/");
    assert_eq!(Sts::new(&ground, None).expect("a service").region, "us-east-1");
}
