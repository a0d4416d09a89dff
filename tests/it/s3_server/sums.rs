//! Checksums: what came with a body is checked against it, kept, and told again.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::StatusCode;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as Hash, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::{Checksum, ChecksumAlgorithm, ChecksumType, StreamingBlob};
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders, s3_error};

/// The checksums in anything whose fields have the usual names.
macro_rules! sums_of {
    ($from:expr) => {
        s3s::dto::Checksum {
            checksum_crc32: $from.checksum_crc32.clone(),
            checksum_crc32c: $from.checksum_crc32c.clone(),
            checksum_crc64nvme: $from.checksum_crc64nvme.clone(),
            checksum_sha1: $from.checksum_sha1.clone(),
            checksum_sha256: $from.checksum_sha256.clone(),
            ..Default::default()
        }
    };
}
pub(crate) use sums_of;

/// Writes checksums into an answer.
macro_rules! set_sums {
    ($to:expr, $sums:expr) => {{
        let sums = $sums.clone();
        $to.checksum_crc32 = sums.checksum_crc32;
        $to.checksum_crc32c = sums.checksum_crc32c;
        $to.checksum_crc64nvme = sums.checksum_crc64nvme;
        $to.checksum_sha1 = sums.checksum_sha1;
        $to.checksum_sha256 = sums.checksum_sha256;
    }};
}
pub(crate) use set_sums;

/// A body, and what its sender said of it.
pub(crate) struct Sent {
    pub(crate) body: Option<StreamingBlob>,
    pub(crate) sums: Checksum,
    pub(crate) md5: Option<String>,
    pub(crate) trailers: Option<TrailingHeaders>,
}

impl Sent {
    /// The bytes, once all that was said of them proved true.
    pub(crate) async fn receive(self) -> S3Result<(Bytes, Checksum)> {
        let bytes = collect(self.body).await?;
        check_md5(&bytes, self.md5.as_deref())?;
        // Trailers are known only after the body.
        let sums = with_trailers(self.sums, self.trailers.as_ref());
        check(&bytes, &sums)?;
        Ok((bytes, sums))
    }
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(mut body) = body else { return Ok(Bytes::new()) };
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| not_what_was_signed())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// A code that s3s does not know.
fn not_what_was_signed() -> S3Error {
    let code = S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into());
    let mut error = S3Error::with_message(code, "The body is not what was signed.");
    error.set_status_code(StatusCode::BAD_REQUEST);
    error
}

fn check_md5(bytes: &[u8], given: Option<&str>) -> S3Result<()> {
    let Some(given) = given else { return Ok(()) };
    let decoded = BASE64_STANDARD.decode(given).ok().filter(|md5| md5.len() == 16);
    let decoded =
        decoded.ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."))?;
    if decoded == Md5::checksum(bytes).as_ref() {
        return Ok(());
    }
    Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."))
}

fn with_trailers(sums: Checksum, trailers: Option<&TrailingHeaders>) -> Checksum {
    let said = |name: &str| {
        let value = trailers?.read(|headers| headers.get(name).cloned())??;
        value.to_str().ok().map(str::to_owned)
    };
    Checksum {
        checksum_crc32: sums.checksum_crc32.or_else(|| said("x-amz-checksum-crc32")),
        checksum_crc32c: sums.checksum_crc32c.or_else(|| said("x-amz-checksum-crc32c")),
        checksum_crc64nvme: sums.checksum_crc64nvme.or_else(|| said("x-amz-checksum-crc64nvme")),
        checksum_sha1: sums.checksum_sha1.or_else(|| said("x-amz-checksum-sha1")),
        checksum_sha256: sums.checksum_sha256.or_else(|| said("x-amz-checksum-sha256")),
        ..sums
    }
}

/// Whether `bytes` have the checksums in `given`.
pub(crate) fn check(bytes: &[u8], given: &Checksum) -> S3Result<()> {
    let mut hasher = ChecksumHasher {
        crc32: given.checksum_crc32.is_some().then(Hash::new),
        crc32c: given.checksum_crc32c.is_some().then(Hash::new),
        sha1: given.checksum_sha1.is_some().then(Hash::new),
        sha256: given.checksum_sha256.is_some().then(Hash::new),
        crc64nvme: given.checksum_crc64nvme.is_some().then(Hash::new),
    };
    hasher.update(bytes);
    if hasher.finalize() == sums_of!(given) {
        return Ok(());
    }
    Err(s3_error!(BadDigest, "The checksum you specified did not match the calculated checksum."))
}

/// The checksum of an object that came in parts: of the whole, or of the parts' checksums.
pub(crate) fn of_parts(algorithm: &ChecksumAlgorithm, whole: bool, parts: &[Bytes]) -> Checksum {
    let mut hasher = hasher(algorithm);
    for part in parts {
        if whole { hasher.update(part) } else { hasher.update(&raw(algorithm, part)) }
    }
    let kind = if whole { ChecksumType::FULL_OBJECT } else { ChecksumType::COMPOSITE };
    let counted =
        |sum: Option<String>| sum.map(|sum| if whole { sum } else { format!("{sum}-{}", parts.len()) });
    let sums = hasher.finalize();
    Checksum {
        checksum_crc32: counted(sums.checksum_crc32),
        checksum_crc32c: counted(sums.checksum_crc32c),
        checksum_crc64nvme: counted(sums.checksum_crc64nvme),
        checksum_sha1: counted(sums.checksum_sha1),
        checksum_sha256: counted(sums.checksum_sha256),
        checksum_type: Some(ChecksumType::from_static(kind)),
    }
}

fn hasher(algorithm: &ChecksumAlgorithm) -> ChecksumHasher {
    let mut hasher = ChecksumHasher::default();
    match algorithm.as_str() {
        ChecksumAlgorithm::CRC32 => hasher.crc32 = Some(Hash::new()),
        ChecksumAlgorithm::CRC32C => hasher.crc32c = Some(Hash::new()),
        ChecksumAlgorithm::SHA1 => hasher.sha1 = Some(Hash::new()),
        ChecksumAlgorithm::SHA256 => hasher.sha256 = Some(Hash::new()),
        _ => hasher.crc64nvme = Some(Hash::new()),
    }
    hasher
}

fn raw(algorithm: &ChecksumAlgorithm, bytes: &[u8]) -> Vec<u8> {
    match algorithm.as_str() {
        ChecksumAlgorithm::CRC32 => Crc32::checksum(bytes).to_vec(),
        ChecksumAlgorithm::CRC32C => Crc32c::checksum(bytes).to_vec(),
        ChecksumAlgorithm::SHA1 => Sha1::checksum(bytes).as_ref().to_vec(),
        ChecksumAlgorithm::SHA256 => Sha256::checksum(bytes).as_ref().to_vec(),
        _ => Crc64Nvme::checksum(bytes).to_vec(),
    }
}
