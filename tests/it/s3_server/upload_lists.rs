//! Lists of uploads that are not complete, and of their parts.

use s3s::S3Result;
use s3s::dto::{
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload,
    Part as ListedPart, StorageClass,
};

use super::listing::{Writer, most};
use super::shared::Shared;
use super::store::{Part, Upload};
use super::sums::set_sums;

pub(crate) fn parts(shared: &Shared, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    let limit = most(input.max_parts)?;
    let marker = input.part_number_marker.unwrap_or_default();
    let mut store = shared.store();
    let upload = store.bucket(&input.bucket)?.upload(&input.upload_id, &input.key)?;
    let mut rest = upload.parts.range(marker.saturating_add(1)..);
    let page: Vec<ListedPart> =
        rest.by_ref().take(limit).map(|(number, part)| listed(*number, part)).collect();
    Ok(ListPartsOutput {
        is_truncated: Some(rest.next().is_some()),
        next_part_number_marker: page.last().and_then(|part| part.part_number),
        part_number_marker: Some(marker),
        max_parts: i32::try_from(limit).ok(),
        parts: Some(page),
        checksum_algorithm: upload.algorithm.clone(),
        checksum_type: upload.kind.clone(),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        upload_id: Some(input.upload_id),
        bucket: Some(input.bucket),
        key: Some(input.key),
        ..Default::default()
    })
}

fn listed(number: i32, part: &Part) -> ListedPart {
    let mut listed = ListedPart {
        e_tag: Some(part.e_tag()),
        last_modified: Some(part.modified.into()),
        part_number: Some(number),
        size: i64::try_from(part.bytes.len()).ok(),
        ..Default::default()
    };
    set_sums!(listed, part.sums);
    listed
}

pub(crate) fn uploads(
    shared: &Shared,
    input: ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    let limit = most(input.max_uploads)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let key_marker = input.key_marker.clone().unwrap_or_default();
    // Without an upload's id the marker stands behind all uploads of its key.
    let marker = (key_marker.as_str(), input.upload_id_marker.as_deref());
    let behind = |key: &str, id: &str| match marker {
        (at, Some(seen)) => (key, id) > (at, seen),
        (at, None) => at.is_empty() || key > at,
    };
    let mut store = shared.store();
    let pending = store.bucket(&input.bucket)?.uploads.iter();
    let mut pending: Vec<(&String, &Upload)> =
        pending.filter(|(id, upload)| upload.key.starts_with(&prefix) && behind(&upload.key, id)).collect();
    pending.sort_by(|a, b| (&a.1.key, a.0).cmp(&(&b.1.key, b.0)));
    let truncated = pending.len() > limit;
    pending.truncate(limit);

    let write = Writer::new(input.encoding_type.as_ref());
    let last =
        pending.last().filter(|_| truncated).map(|(id, upload)| (write.key(&upload.key), (*id).clone()));
    let (next_key_marker, next_upload_id_marker) = last.unzip();
    let listed = pending.into_iter().map(|(id, upload)| MultipartUpload {
        initiated: Some(upload.initiated.into()),
        key: Some(write.key(&upload.key)),
        upload_id: Some(id.clone()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        ..Default::default()
    });
    Ok(ListMultipartUploadsOutput {
        is_truncated: Some(truncated),
        next_key_marker,
        next_upload_id_marker,
        uploads: Some(listed.collect()),
        key_marker: Some(write.key(&key_marker)),
        upload_id_marker: input.upload_id_marker,
        max_uploads: i32::try_from(limit).ok(),
        prefix: Some(write.key(&prefix)),
        encoding_type: input.encoding_type,
        bucket: Some(input.bucket),
        ..Default::default()
    })
}
