//! Objects: put, get, head, copy, delete.

use std::ops::Range as Span;
use std::sync::Arc;

use http::HeaderMap;
use s3s::dto::{
    Checksum, ChecksumMode, ChecksumType, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    ETagCondition, Error, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    MetadataDirective, PutObjectInput, PutObjectOutput, Range, StreamingBlob,
};
use s3s::{Body, S3Request, S3Result, s3_error};

use super::conditions::Conditions;
use super::shared::Shared;
use super::store::{Attributes, Object, Store, attributes};
use super::sums::{Sent, set_sums, sums_of};

/// What AWS says of an object of which nothing was said.
const UNKNOWN_TYPE: &str = "binary/octet-stream";

pub(crate) async fn put(shared: &Shared, req: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
    let mut input = req.input;
    let sent = Sent {
        body: input.body.take(),
        sums: sums_of!(input),
        md5: input.content_md5.take(),
        trailers: req.trailing_headers,
    };
    let (bytes, sums) = sent.receive().await?;
    let conditions = shared.write_conditions(input.if_match.take(), input.if_none_match.take());
    let object = Object::new(bytes, attributes!(input), sums);
    let mut output = PutObjectOutput { e_tag: Some(object.e_tag()), ..Default::default() };
    output.server_side_encryption.clone_from(&object.attributes.server_side_encryption);
    set_sums!(output, object.sums);

    let mut store = shared.store();
    let bucket = store.bucket(&input.bucket)?;
    conditions.for_write(bucket.objects.get(&input.key).map(AsRef::as_ref))?;
    bucket.objects.insert(input.key, Arc::new(object));
    Ok(output)
}

/// An object as it is described with or without its bytes; the fields have the same names in both answers.
macro_rules! described {
    ($output:ident, $object:expr, $span:expr, $with_sums:expr) => {{
        let (object, (span, content_range)) = (&$object, &$span);
        let attributes = object.attributes.clone();
        let mut output = $output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: attributes.cache_control,
            content_disposition: attributes.content_disposition,
            content_encoding: attributes.content_encoding,
            content_language: attributes.content_language,
            content_length: i64::try_from(span.len()).ok(),
            content_range: content_range.clone(),
            content_type: attributes.content_type.or_else(|| UNKNOWN_TYPE.parse().ok()),
            e_tag: Some(object.e_tag()),
            expires: attributes.expires,
            last_modified: Some(object.modified.into()),
            metadata: attributes.metadata,
            server_side_encryption: attributes.server_side_encryption,
            ssekms_key_id: attributes.ssekms_key_id,
            storage_class: attributes.storage_class,
            ..Default::default()
        };
        // A checksum is of the whole object: it says nothing of a part of it.
        if $with_sums && content_range.is_none() {
            set_sums!(output, object.sums);
            output.checksum_type = object.sums.checksum_type.clone();
        }
        output
    }};
}

pub(crate) fn get(shared: &Shared, input: GetObjectInput) -> S3Result<GetObjectOutput> {
    let object = found(&mut shared.store(), &input.bucket, &input.key)?;
    let conditions = shared.heeded(Conditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        modified_since: input.if_modified_since,
        unmodified_since: input.if_unmodified_since,
    });
    conditions.for_read(&object)?;
    let span = span(input.range, &object)?;
    let mut output = described!(GetObjectOutput, object, span, wants_sums(input.checksum_mode.as_ref()));
    output.body = Some(StreamingBlob::from(Body::from(object.bytes.slice(span.0))));
    Ok(output)
}

pub(crate) fn head(shared: &Shared, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
    let object = found(&mut shared.store(), &input.bucket, &input.key)?;
    let conditions = shared.heeded(Conditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        modified_since: input.if_modified_since,
        unmodified_since: input.if_unmodified_since,
    });
    conditions.for_read(&object)?;
    let span = span(input.range, &object)?;
    Ok(described!(HeadObjectOutput, object, span, wants_sums(input.checksum_mode.as_ref())))
}

fn wants_sums(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

pub(crate) fn found(store: &mut Store, bucket: &str, key: &str) -> S3Result<Arc<Object>> {
    store.bucket(bucket)?.object(key).cloned()
}

/// The bytes asked for, and how the answer names them if they are not all.
fn span(range: Option<Range>, object: &Object) -> S3Result<(Span<usize>, Option<String>)> {
    let all = object.bytes.len();
    let Some(range) = range else { return Ok((0..all, None)) };
    let span = range
        .check(all as u64)
        .map_err(|e| s3_error!(e, InvalidRange, "The requested range is not satisfiable"))?;
    let name = format!("bytes {}-{}/{all}", span.start, span.end - 1);
    let index = |offset: u64| usize::try_from(offset).unwrap_or(all);
    Ok((index(span.start)..index(span.end), Some(name)))
}

/// The object that a copy is made of, if it is as the copy wants it.
pub(crate) fn source(shared: &Shared, from: &CopySource, conditions: Conditions) -> S3Result<Arc<Object>> {
    let CopySource::Bucket { bucket, key, .. } = from else {
        return Err(s3_error!(NotImplemented, "only bucket/key can be copied"));
    };
    let object = found(&mut shared.store(), bucket, key)?;
    shared.heeded(conditions).for_copy(&object)?;
    Ok(object)
}

pub(crate) fn copy(shared: &Shared, req: S3Request<CopyObjectInput>) -> S3Result<CopyObjectOutput> {
    let input = req.input;
    let conditions = Conditions {
        if_match: input.copy_source_if_match.clone(),
        if_none_match: input.copy_source_if_none_match.clone(),
        modified_since: input.copy_source_if_modified_since.clone(),
        unmodified_since: input.copy_source_if_unmodified_since.clone(),
    };
    let from = source(shared, &input.copy_source, conditions)?;
    let replaces =
        input.metadata_directive.as_ref().is_some_and(|how| how.as_str() == MetadataDirective::REPLACE);
    if !replaces && is_itself(&input) {
        return Err(s3_error!(
            InvalidRequest,
            "an object is copied to itself without changing its attributes"
        ));
    }
    let attributes = if replaces { attributes!(input) } else { from.attributes.clone() };
    let object = Object::new(from.bytes.clone(), attributes, of_whole(&from.sums));
    let result = CopyObjectResult {
        e_tag: Some(object.e_tag()),
        last_modified: Some(object.modified.into()),
        ..Default::default()
    };

    let header = |name| condition(&req.headers, name);
    let conditions = shared.write_conditions(header("if-match")?, header("if-none-match")?);
    let mut store = shared.store();
    let bucket = store.bucket(&input.bucket)?;
    conditions.for_write(bucket.objects.get(&input.key).map(AsRef::as_ref))?;
    bucket.objects.insert(input.key, Arc::new(object));
    Ok(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() })
}

fn is_itself(input: &CopyObjectInput) -> bool {
    matches!(&input.copy_source, CopySource::Bucket { bucket, key, .. }
        if **bucket == *input.bucket && **key == *input.key)
}

/// A condition on the target of a copy, which s3s does not parse.
fn condition(headers: &HeaderMap, name: &str) -> S3Result<Option<ETagCondition>> {
    let parsed = headers.get(name).map(|value| ETagCondition::parse_http_header(value.as_bytes()));
    parsed.transpose().map_err(|e| s3_error!(e, InvalidArgument, "invalid header: {name}"))
}

/// A copy is one piece: checksums of parts do not hold for it.
fn of_whole(sums: &Checksum) -> Checksum {
    let composite = sums.checksum_type.as_ref().is_some_and(|kind| kind.as_str() == ChecksumType::COMPOSITE);
    if composite { Checksum::default() } else { sums.clone() }
}

pub(crate) fn delete(shared: &Shared, input: DeleteObjectInput) -> S3Result<DeleteObjectOutput> {
    remove(shared, &input.bucket, &input.key, input.if_match)?;
    Ok(DeleteObjectOutput::default())
}

fn remove(shared: &Shared, bucket: &str, key: &str, if_match: Option<ETagCondition>) -> S3Result<()> {
    let conditions = shared.write_conditions(if_match, None);
    let mut store = shared.store();
    let bucket = store.bucket(bucket)?;
    conditions.for_delete(bucket.objects.get(key).map(AsRef::as_ref))?;
    bucket.objects.remove(key);
    Ok(())
}

pub(crate) fn delete_many(shared: &Shared, input: DeleteObjectsInput) -> S3Result<DeleteObjectsOutput> {
    shared.store().bucket(&input.bucket)?;
    if input.delete.objects.len() > 1000 || input.delete.objects.is_empty() {
        return Err(s3_error!(MalformedXML, "one to 1000 keys may be deleted at once"));
    }
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for object in input.delete.objects {
        match remove(shared, &input.bucket, &object.key, object.e_tag.map(ETagCondition::ETag)) {
            Ok(()) => deleted.push(DeletedObject { key: Some(object.key), ..Default::default() }),
            Err(error) => errors.push(Error {
                code: Some(error.code().as_str().to_owned()),
                key: Some(object.key),
                message: error.message().map(str::to_owned),
                version_id: None,
            }),
        }
    }
    let told = (input.delete.quiet != Some(true)).then_some(deleted);
    Ok(DeleteObjectsOutput { deleted: told, errors: Some(errors), ..Default::default() })
}
