//! Keys from a program: `credential_process` of a profile.

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};
use tokio::process::Command;

use super::answer::{self, Fields};
use super::{Lease, Lender};
use crate::error::{Error, ErrorKind, Result};

/// Long enough for somebody to log in.
const LONGEST: Duration = Duration::from_mins(1);

pub(super) struct Process {
    profile: String,
    command: SecretString,
    longest: Duration,
}

/// A command line may hold a password.
impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl Process {
    pub(super) fn new(profile: &str, command: &str) -> Self {
        Self { profile: profile.to_owned(), command: command.to_owned().into(), longest: LONGEST }
    }

    fn command(&self) -> Command {
        let (shell, flag) = if cfg!(windows) { ("cmd.exe", "/C") } else { ("sh", "-c") };
        let mut command = Command::new(shell);
        command.arg(flag).arg(self.command.expose_secret()).stdin(Stdio::null()).kill_on_drop(true);
        // What it complains of may be a secret.
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    async fn output(&self) -> Result<Vec<u8>> {
        let running = self.command().output();
        let output = tokio::time::timeout(self.longest, running)
            .await
            .map_err(|_| Error::new(ErrorKind::Io, "the credential process did not end in time"))?
            .map_err(|cause| Error::io("the credential process cannot be started", cause))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Error::new(ErrorKind::PermissionDenied, "the credential process failed")
            .with("ended", output.status)
            .hint(
                "run it by hand to see what it says; its output is not shown here, for it may hold secrets",
            ))
    }
}

#[async_trait]
impl Lender for Process {
    fn name(&self) -> &'static str {
        "credential process"
    }

    async fn lend(&self) -> Result<Lease> {
        let lent = async { read(&self.output().await?) }.await;
        lent.map_err(|error: Error| error.with("profile", &self.profile))
    }
}

fn read(output: &[u8]) -> Result<Lease> {
    let version = serde_json::from_slice::<serde_json::Value>(output)
        .ok()
        .and_then(|root| root.get("Version")?.as_u64());
    if version != Some(1) {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "the credential process does not print version 1 of its JSON",
        ));
    }
    answer::lease(output, Utc::now(), &Fields::default())
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::server::run;
    use super::*;

    #[test]
    fn keys_are_read_from_what_the_program_prints() {
        let json = r#"{"Version":1,"AccessKeyId":"AK","SecretAccessKey":"SK","SessionToken":"ST"}"#;
        let lease = run(Process::new("etl", &format!("echo '{json}'")).lend()).expect("keys");
        assert_eq!((lease.credential.secret_key.as_str(), lease.expires), ("SK", None));
    }

    #[test]
    fn a_program_that_fails_does_not_tell_its_secrets() {
        for command in
            ["echo canary >&2; echo canary; exit 3", "echo canary", r#"echo '{"Version":2,"x":"canary"}'"#]
        {
            let process = Process::new("etl", command);
            let error = run(process.lend()).expect_err("no keys");
            assert!(!format!("{error:?}{process:?}").contains("canary"), "{error:?}");
            assert!(error.to_string().contains("profile: etl"), "{error}");
        }
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let process = Process { longest: Duration::from_millis(50), ..Process::new("etl", "exec sleep 60") };
        let error = run(process.lend()).expect_err("no keys");
        assert_eq!(error.message(), "the credential process did not end in time");
    }
}
