//! What profiles lead to, from real files.

use super::super::environment::Environment;
use super::super::server::{self, Reply, Server, http, run};
use super::*;
use crate::client::s3_settings::S3Settings;

const ROLE: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ROLE</AccessKeyId>\
    <SecretAccessKey>SK</SecretAccessKey><SessionToken>ST</SessionToken>\
    <Expiration>2199-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";

struct World {
    _home: tempfile::TempDir,
    ground: Ground,
    profiles: Profiles,
}

fn world(config: &str, credentials: &str, vars: &[(&str, &str)]) -> World {
    let home = server::home(config, credentials);
    let environment = Environment::new(vars.iter().copied(), Some(home.path().to_owned()));
    let profiles = Files::of(&environment).read().expect("files");
    World { _home: home, ground: Ground::new(&S3Settings::default(), &http(), environment), profiles }
}

impl World {
    fn find(&self, name: &str) -> Result<Choice> {
        match role(&self.ground, &self.profiles, name)? {
            Some(choice) => Ok(choice),
            None => Ok(own(&self.ground, &self.profiles, name)?.expect("credentials")),
        }
    }

    fn lend(&self, name: &str) -> Result<(String, String)> {
        let choice = self.find(name)?;
        let lease = run(choice.lender.lend())?;
        Ok((choice.source, lease.credential.key_id.clone()))
    }
}

#[test]
fn keys_are_taken_in_the_order_of_the_aws_command_line() {
    let process =
        r#"credential_process = echo '{"Version":1,"AccessKeyId":"PROCESS","SecretAccessKey":"x"}'"#;
    let keys = "aws_access_key_id = CONFIG\naws_secret_access_key = x\n";
    let config = format!("[profile a]\n{keys}{process}\n[profile b]\n{keys}{process}\n[profile c]\n{keys}");
    let world = world(&config, "[a]\naws_access_key_id = CREDENTIALS\naws_secret_access_key = x\n", &[]);
    let at = |name| world.lend(name).expect(name);
    assert_eq!(at("a"), ("profile a (keys)".to_owned(), "CREDENTIALS".to_owned()));
    assert_eq!(at("b"), ("profile b (credential process)".to_owned(), "PROCESS".to_owned()));
    assert_eq!(at("c"), ("profile c (keys)".to_owned(), "CONFIG".to_owned()));
}

#[test]
fn keys_in_a_file_are_read_anew() {
    let world =
        world("", "[a]\naws_access_key_id = ONE\naws_secret_access_key = x\naws_session_token = t\n", &[]);
    let lender = world.find("a").expect("keys").lender;
    let keys = |lender: &Arc<dyn Lender>| run(lender.lend()).expect("keys").credential;
    assert_eq!((keys(&lender).key_id.as_str(), keys(&lender).token.as_deref()), ("ONE", Some("t")));
    let file = world.ground.environment.in_home(".aws/credentials").expect("a home");
    std::fs::write(file, "[a]\naws_access_key_id = TWO\naws_secret_access_key = x\n").expect("write");
    assert_eq!((keys(&lender).key_id.as_str(), keys(&lender).token.as_deref()), ("TWO", None));
}

#[test]
fn half_a_pair_of_keys_is_refused() {
    let world = world("", "[a]\naws_access_key_id = canary\n", &[]);
    let error = world.lend("a").expect_err("half");
    assert!(error.kind() == ErrorKind::InvalidData && !format!("{error:?}").contains("canary"), "{error:?}");
}

/// Profiles that take roles by way of others, of themselves and of the surroundings.
const ROLES: &str = "[profile far]\nrole_arn = arn:far\nsource_profile = near\nexternal_id = ext\n\
    duration_seconds = 1200\nrole_session_name = job\n[profile near]\nrole_arn = arn:near\nsource_profile = base\n\
    [profile self]\nrole_arn = arn:self\nsource_profile = self\naws_access_key_id = SELF\n\
    aws_secret_access_key = x\n[profile env]\nrole_arn = arn:env\ncredential_source = Environment\n";

#[test]
fn roles_are_taken_one_with_the_other() {
    let server = Server::start(|_| Reply::text(ROLE));
    let url = server.url("/");
    let vars = [
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
        ("AWS_ACCESS_KEY_ID", "ENV"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ];
    let world = world(ROLES, "[base]\naws_access_key_id = BASE\naws_secret_access_key = x\n", &vars);
    assert_eq!(world.lend("far").expect("keys"), ("profile far (assume role)".to_owned(), "ROLE".to_owned()));
    world.lend("self").expect("keys");
    world.lend("env").expect("keys");
    let signed = |part: &str| {
        server
            .seen()
            .iter()
            .filter(|seen| {
                seen.header("authorization")
                    .is_some_and(|header| header.contains(&format!("Credential={part}/")))
            })
            .count()
    };
    assert_eq!([signed("BASE"), signed("ROLE"), signed("SELF"), signed("ENV")], [1, 1, 1, 1]);
    let far = &server.seen()[1].body;
    for part in ["RoleArn=arn%3Afar", "RoleSessionName=job", "DurationSeconds=1200", "ExternalId=ext"] {
        assert!(far.contains(part), "{far}");
    }
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let config = "[profile mfa]\nrole_arn = r\nsource_profile = x\nmfa_serial = m\n\
        [profile a]\nrole_arn = r\nsource_profile = b\n[profile b]\nrole_arn = r\nsource_profile = a\n\
        [profile own]\nrole_arn = r\nsource_profile = own\n[profile both]\nrole_arn = r\nsource_profile = a\n\
        credential_source = Environment\n[profile none]\nrole_arn = r\n\
        [profile gone]\nrole_arn = r\nsource_profile = nowhere\n\
        [profile odd]\nrole_arn = r\ncredential_source = Elsewhere\n\
        [profile env]\nrole_arn = r\ncredential_source = Environment\n\
        [profile long]\nrole_arn = r\nduration_seconds = an hour\nsource_profile = keys\n\
        [profile keys]\naws_access_key_id = k\naws_secret_access_key = s\n\
        [profile empty]\nregion = x\n[profile hollow]\nrole_arn = r\nsource_profile = empty\n";
    let world = world(config, "", &[]);
    let told = |name| world.find(name).map(|choice| choice.source).expect_err(name).to_string();
    assert!(told("mfa").contains("mfa_serial"), "{}", told("mfa"));
    assert!(told("a").contains("way: a > b > a"), "{}", told("a"));
    assert!(told("own").contains("way: own > own"), "{}", told("own"));
    assert!(told("both").contains("exclude each other"));
    assert!(told("none").contains("needs a source_profile"));
    assert!(told("gone").contains("profile: nowhere, source_profile of: gone"), "{}", told("gone"));
    assert!(told("odd").contains("unknown credential_source"));
    assert!(told("env").contains("has no credentials (profile: env"), "{}", told("env"));
    assert!(told("long").contains("duration_seconds"));
    assert!(told("hollow").contains("profile: empty"), "{}", told("hollow"));
}
