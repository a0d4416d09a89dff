//! Buckets: create, list, find out where they are, delete.

use s3s::dto::{
    Bucket as ListedBucket, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput,
    DeleteBucketInput, DeleteBucketOutput, GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput,
    HeadBucketOutput, ListBucketsInput, ListBucketsOutput, Owner,
};
use s3s::{S3Error, S3Request, S3Result, s3_error};

use super::shared::Shared;
use super::store::Bucket;

/// The region whose name is never said as a location, and whose endpoint makes buckets anywhere.
const FIRST_REGION: &str = "us-east-1";

pub(crate) fn create(shared: &Shared, req: S3Request<CreateBucketInput>) -> S3Result<CreateBucketOutput> {
    let asked = req.region.as_ref().map_or(FIRST_REGION, |region| region.as_str());
    let constraint = req.input.create_bucket_configuration.and_then(|said| said.location_constraint);
    let region = region_of(asked, constraint.as_ref().map(BucketLocationConstraint::as_str))?;
    let mut store = shared.store();
    if store.buckets.contains_key(&req.input.bucket) {
        return Err(s3_error!(BucketAlreadyOwnedByYou, "the bucket exists already, and it is yours"));
    }
    let location = format!("/{}", req.input.bucket);
    store.buckets.insert(req.input.bucket, Bucket::new(&region));
    Ok(CreateBucketOutput { location: Some(location) })
}

/// Where a bucket comes to be: an endpoint takes its own region as the constraint, and only that of the first
/// region takes none or any other.
fn region_of(asked: &str, constraint: Option<&str>) -> S3Result<String> {
    match constraint {
        Some(FIRST_REGION) => Err(s3_error!(InvalidLocationConstraint, "{FIRST_REGION} is not a constraint")),
        Some(place) if place == asked || asked == FIRST_REGION => Ok(place.to_owned()),
        None if asked == FIRST_REGION => Ok(asked.to_owned()),
        other => Err(illegal(other.unwrap_or("unspecified"))),
    }
}

fn illegal(place: &str) -> S3Error {
    s3_error!(
        IllegalLocationConstraintException,
        "The {place} location constraint is incompatible for the region specific endpoint this request was sent to."
    )
}

pub(crate) fn list(shared: &Shared, input: &ListBucketsInput) -> ListBucketsOutput {
    let wanted = |name: &str, bucket: &Bucket| {
        input.prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix.as_str()))
            && input.bucket_region.as_ref().is_none_or(|region| *region == bucket.region)
    };
    let store = shared.store();
    let buckets = store.buckets.iter().filter(|(name, bucket)| wanted(name, bucket));
    let buckets = buckets.map(|(name, bucket)| ListedBucket {
        bucket_region: Some(bucket.region.clone()),
        creation_date: Some(bucket.created.into()),
        name: Some(name.clone()),
    });
    let owner = Owner { display_name: Some("tester".to_owned()), id: Some("tester".to_owned()) };
    ListBucketsOutput { buckets: Some(buckets.collect()), owner: Some(owner), ..Default::default() }
}

pub(crate) fn location(shared: &Shared, input: &GetBucketLocationInput) -> S3Result<GetBucketLocationOutput> {
    let region = shared.store().bucket(&input.bucket)?.region.clone();
    let said = (region != FIRST_REGION).then(|| BucketLocationConstraint::from(region));
    Ok(GetBucketLocationOutput { location_constraint: said })
}

pub(crate) fn head(shared: &Shared, input: &HeadBucketInput) -> S3Result<HeadBucketOutput> {
    let region = shared.store().bucket(&input.bucket)?.region.clone();
    Ok(HeadBucketOutput { bucket_region: Some(region), ..Default::default() })
}

pub(crate) fn delete(shared: &Shared, input: &DeleteBucketInput) -> S3Result<DeleteBucketOutput> {
    let mut store = shared.store();
    if !store.bucket(&input.bucket)?.objects.is_empty() {
        return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
    }
    store.buckets.remove(&input.bucket);
    Ok(DeleteBucketOutput::default())
}
