//! Uploads in parts: nothing of them can be seen until they are completed, and they stay until then or until they
//! are aborted.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Checksum, ChecksumAlgorithm, ChecksumType,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, CopyPartResult,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, Range, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Error, S3Request, S3Result, s3_error};
use uuid::Uuid;

use super::conditions::Conditions;
use super::objects;
use super::shared::Shared;
use super::store::{Attributes, Object, Part, Upload, attributes, hex, now};
use super::sums::{self, Sent, set_sums, sums_of};

pub(crate) fn create(
    shared: &Shared,
    input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    let upload = Upload {
        key: input.key.clone(),
        initiated: now(),
        attributes: attributes!(input),
        algorithm: input.checksum_algorithm.clone(),
        kind: input.checksum_type.clone(),
        parts: std::collections::BTreeMap::new(),
    };
    // In the order of their time, as uploads of one key are listed.
    let id = Uuid::now_v7().simple().to_string();
    shared.store().bucket(&input.bucket)?.uploads.insert(id.clone(), upload);
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: input.checksum_type,
        ..Default::default()
    })
}

pub(crate) async fn part(shared: &Shared, req: S3Request<UploadPartInput>) -> S3Result<UploadPartOutput> {
    let mut input = req.input;
    let sent = Sent {
        body: input.body.take(),
        sums: sums_of!(input),
        md5: input.content_md5.take(),
        trailers: req.trailing_headers,
    };
    let (bytes, sums) = sent.receive().await?;
    let part = Part::new(bytes, sums);
    let mut output = UploadPartOutput { e_tag: Some(part.e_tag()), ..Default::default() };
    set_sums!(output, part.sums);
    keep(shared, &input.bucket, &input.key, &input.upload_id, input.part_number, part)?;
    Ok(output)
}

pub(crate) fn part_copy(shared: &Shared, input: UploadPartCopyInput) -> S3Result<UploadPartCopyOutput> {
    let conditions = Conditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        modified_since: input.copy_source_if_modified_since,
        unmodified_since: input.copy_source_if_unmodified_since,
    };
    let from = objects::source(shared, &input.copy_source, conditions)?;
    let range = input.copy_source_range.as_deref().filter(|_| !shared.ignores_ranges());
    let part = Part::new(slice(&from.bytes, range)?, Checksum::default());
    let result = CopyPartResult {
        e_tag: Some(part.e_tag()),
        last_modified: Some(part.modified.into()),
        ..Default::default()
    };
    keep(shared, &input.bucket, &input.key, &input.upload_id, input.part_number, part)?;
    Ok(UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() })
}

/// A part of the source; a range that goes beyond its end is an error here, other than in a get.
fn slice(bytes: &Bytes, range: Option<&str>) -> S3Result<Bytes> {
    let Some(range) = range else { return Ok(bytes.clone()) };
    let wrong = || {
        s3_error!(InvalidArgument, "The x-amz-copy-source-range value must be of the form bytes=first-last")
    };
    let Ok(Range::Int { first, last: Some(last) }) = Range::parse(range) else { return Err(wrong()) };
    if last >= bytes.len() as u64 {
        return Err(s3_error!(InvalidRange, "the range is not within the source"));
    }
    let index = |offset: u64| usize::try_from(offset).map_err(|_| wrong());
    Ok(bytes.slice(index(first)?..=index(last)?))
}

fn keep(shared: &Shared, bucket: &str, key: &str, id: &str, number: i32, part: Part) -> S3Result<()> {
    if !(1..=10_000).contains(&number) {
        return Err(s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and 10000, inclusive"
        ));
    }
    shared.store().bucket(bucket)?.upload(id, key)?.parts.insert(number, part);
    Ok(())
}

pub(crate) fn abort(
    shared: &Shared,
    input: &AbortMultipartUploadInput,
) -> S3Result<AbortMultipartUploadOutput> {
    let mut store = shared.store();
    let bucket = store.bucket(&input.bucket)?;
    bucket.upload(&input.upload_id, &input.key)?;
    bucket.uploads.remove(&input.upload_id);
    Ok(AbortMultipartUploadOutput::default())
}

/// Puts the parts together. A condition that fails leaves the upload pending.
pub(crate) fn complete(
    shared: &Shared,
    mut input: CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let claimed = sums_of!(input);
    let conditions = shared.write_conditions(input.if_match.take(), input.if_none_match.take());
    let listed = input.multipart_upload.and_then(|said| said.parts).unwrap_or_default();
    let mut store = shared.store();
    let bucket = store.bucket(&input.bucket)?;
    let upload = bucket.upload(&input.upload_id, &input.key)?;
    let object = assembled(upload, &chosen(upload, &listed, shared.min_part_size())?, &claimed)?;
    conditions.for_write(bucket.objects.get(&input.key).map(AsRef::as_ref))?;

    let mut output = CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        e_tag: Some(object.e_tag()),
        checksum_type: object.sums.checksum_type.clone(),
        ..Default::default()
    };
    set_sums!(output, object.sums);
    bucket.uploads.remove(&input.upload_id);
    bucket.objects.insert(input.key.clone(), Arc::new(object));
    (output.bucket, output.key) = (Some(input.bucket), Some(input.key));
    Ok(output)
}

/// The parts that the request lists, if they are what was uploaded.
fn chosen<'u>(upload: &'u Upload, listed: &[CompletedPart], least: usize) -> S3Result<Vec<&'u Part>> {
    let numbers: Vec<i32> = listed.iter().map(|part| part.part_number.unwrap_or_default()).collect();
    if numbers.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    if !numbers.is_sorted_by(|a, b| a < b) {
        return Err(s3_error!(InvalidPartOrder, "Parts must be ordered by part number."));
    }
    let found = listed.iter().zip(&numbers).map(|(said, number)| match upload.parts.get(number) {
        Some(part) if is_same(said, part) => Ok(part),
        _ => Err(s3_error!(InvalidPart, "part {number} was not uploaded, or is not what was uploaded")),
    });
    let parts: Vec<&Part> = found.collect::<S3Result<_>>()?;
    let all_but_last = &parts[..parts.len() - 1];
    match all_but_last.iter().position(|part| part.bytes.len() < least) {
        Some(at) => Err(too_small(numbers[at], least)),
        None => Ok(parts),
    }
}

fn is_same(said: &CompletedPart, part: &Part) -> bool {
    let sums = sums_of!(said);
    said.e_tag.as_ref().is_none_or(|etag| etag.value() == hex(&part.md5))
        && (sums == Checksum::default() || sums::check(&part.bytes, &sums).is_ok())
}

fn too_small(number: i32, least: usize) -> S3Error {
    s3_error!(
        EntityTooSmall,
        "Your proposed upload is smaller than the minimum allowed size: part {number} has less than {least} bytes"
    )
}

fn assembled(upload: &Upload, parts: &[&Part], claimed: &Checksum) -> S3Result<Object> {
    let mut bytes = BytesMut::with_capacity(parts.iter().map(|part| part.bytes.len()).sum());
    let mut digests = Md5::new();
    for part in parts {
        bytes.extend_from_slice(&part.bytes);
        digests.update(&part.md5);
    }
    let sums = sums_of_parts(upload, parts);
    // What a client claims can be told only where it said before how it would count.
    if *claimed != Checksum::default() && *claimed != sums_of!(sums) {
        return Err(s3_error!(
            BadDigest,
            "The checksum you specified did not match the calculated checksum."
        ));
    }
    let etag = format!("{}-{}", hex(digests.finalize().as_ref()), parts.len());
    let attributes = upload.attributes.clone();
    Ok(Object { bytes: bytes.freeze(), etag, modified: now(), attributes, sums })
}

fn sums_of_parts(upload: &Upload, parts: &[&Part]) -> Checksum {
    let Some(algorithm) = &upload.algorithm else { return Checksum::default() };
    let whole = match upload.kind.as_ref().map(ChecksumType::as_str) {
        Some(kind) => kind == ChecksumType::FULL_OBJECT,
        None => algorithm.as_str() == ChecksumAlgorithm::CRC64NVME,
    };
    let parts: Vec<Bytes> = parts.iter().map(|part| part.bytes.clone()).collect();
    sums::of_parts(algorithm, whole, &parts)
}
