//! Finds out whether a service keeps the conditions of a write: some that speak the protocol of S3 answer 200 and
//! overwrite. It is asked once, by objects beside the target, never by the target.

use tokio::sync::OnceCell;

use crate::client::s3::{PutCondition, PutOptions, S3Client};
use crate::error::{Error, ErrorKind, Result};

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Probe(OnceCell<Keeps>);

/// For which writes a service keeps conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    All,
    /// For objects that are sent in one request, not for those in parts.
    Whole,
    None,
}

impl Probe {
    /// What was found out, if it was asked.
    pub(super) fn known(&self) -> Option<Keeps> {
        self.0.get().copied()
    }

    /// # Errors
    ///
    /// `Unsupported` if the service ignores conditions; what asking it fails with.
    pub(super) async fn check(&self, client: &S3Client, key: &str) -> Result<Keeps> {
        match *self.0.get_or_try_init(|| ask(client, key)).await? {
            keeps @ (Keeps::All | Keeps::Whole) => Ok(keeps),
            Keeps::None if client.single_writer() => Ok(Keeps::None),
            Keeps::None => Err(Error::new(
                ErrorKind::Unsupported,
                "the service ignores the conditions of a write, so that two writers could undo each other's work",
            )
            .with("bucket", client.bucket()?)
            .hint("use another service; if you are sure that nobody else writes, say --single-writer")),
        }
    }
}

async fn ask(client: &S3Client, key: &str) -> Result<Keeps> {
    let folder = key.rfind('/').map_or("", |slash| &key[..=slash]);
    let probe = format!("{folder}.keyfold-probe-{}", uuid::Uuid::now_v7().simple());
    let kept = ask_about(client, &probe).await;
    // Whatever was answered, nothing is left behind.
    let removed = client.delete(&probe).await;
    if let Err(error) = removed {
        tracing::warn!(object = probe, %error, "what the service was asked by could not be removed");
    }
    let kept = kept?;
    tracing::debug!(?kept, "asked the service whether it keeps conditions");
    Ok(kept)
}

async fn ask_about(client: &S3Client, probe: &str) -> Result<Keeps> {
    let put = |condition| client.put(probe, "", PutOptions::default().with_condition(condition));
    put(PutCondition::IfAbsent).await?;
    let again = put(PutCondition::IfAbsent).await;
    // The ETag of no object there is.
    let other = PutCondition::IfMatch("\"00000000000000000000000000000000\"".to_owned());
    let changed = put(other.clone()).await;
    let mut upload = client.start_upload(probe, PutOptions::default().with_condition(other)).await?;
    upload.queue("".into()).await?;
    let parts = upload.complete().await;
    // After an answer that was lost, a second attempt hears of a conflict with whoever was first.
    let refused = |result: &Result<_>| matches!(result, Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Conflict));
    for result in [&again, &changed, &parts] {
        if let Err(error) = result
            && !matches!(
                error.kind(),
                ErrorKind::AlreadyExists | ErrorKind::Conflict | ErrorKind::Unsupported
            )
        {
            return Err(Error::new(
                error.kind(),
                "the service could not be asked whether it keeps conditions",
            )
            .hint(error.hint_text().unwrap_or("see the cause").to_owned())
            .because(error.to_string()));
        }
    }
    Ok(match (refused(&again) && refused(&changed), refused(&parts)) {
        (true, true) => Keeps::All,
        (true, false) => Keeps::Whole,
        (false, _) => Keeps::None,
    })
}
