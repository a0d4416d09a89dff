//! The way in, before and behind s3s: requests are logged and counted, regions are checked, and what s3s cannot
//! say is said here, such as a connection that closes in the middle of a body.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RANGE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use s3s::service::S3Service;

use super::faults::{Effect, Fault};
use super::log::Record;
use super::operation::{Operation, Target, query_pairs};
use super::reply::{Pace, Reply, flowing};
use super::shared::{Shared, WrongRegion};

/// An answer before it is sent.
type Answer = Response<Bytes>;

/// One request from beginning to end; an error closes the connection without an answer.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    service: S3Service,
    request: Request<Incoming>,
) -> io::Result<Response<Reply>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let target = Target::of(&head.method, &head.uri, &head.headers);
    let range = head.headers.get(RANGE).and_then(|range| range.to_str().ok()).map(str::to_owned);
    let is_head = head.method == Method::HEAD;
    let record = Record::new(target.clone(), head.method.clone(), range, body.len() as u64);
    let record = shared.log.push(record);

    tokio::time::sleep(shared.latency()).await;
    let fault = shared.faults.take(&target);
    let pace = Pace::of(fault.as_ref().map(Fault::effect));
    let answer = decided(&shared, &service, &target, Request::from_parts(head, body), fault).await?;
    record.answered(answer.status());
    Ok(flowing(answer, is_head, pace, record))
}

/// The answer: what a fault says, or a word on the region, or what s3s makes of the request.
async fn decided(
    shared: &Shared,
    service: &S3Service,
    target: &Target,
    request: Request<Bytes>,
    fault: Option<Fault>,
) -> io::Result<Answer> {
    if let Some(fault) = &fault
        && let Some(answer) = instead(fault.effect(), request.uri()).await?
    {
        return Ok(answer);
    }
    let answer = match wrong_region(shared, target, request.uri(), request.headers()) {
        Some(answer) => answer,
        None => served(service, request).await?,
    };
    afterwards(shared, fault, answer).await
}

async fn served(service: &S3Service, request: Request<Bytes>) -> io::Result<Answer> {
    let (head, body) =
        service.call(request.map(s3s::Body::from)).await.map_err(io::Error::other)?.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Response::from_parts(head, body))
}

/// What is answered to a request that is not carried out at all.
async fn instead(effect: &Effect, uri: &http::Uri) -> io::Result<Option<Answer>> {
    let answer = match effect {
        Effect::SlowDown => {
            error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate.")
        }
        Effect::InternalError => internal_error(),
        Effect::Conflict => error(
            StatusCode::CONFLICT,
            "ConditionalRequestConflict",
            "The conditional request cannot succeed due to a conflicting operation against this resource.",
        ),
        Effect::Refused(status, code) => {
            error(StatusCode::from_u16(*status).expect("a status"), code, "This service does not do that.")
        }
        Effect::ExpiredToken => {
            error(StatusCode::FORBIDDEN, "ExpiredToken", "The provided token has expired.")
        }
        Effect::Redirect(base) => redirect(base, uri),
        Effect::Close => return Err(closed()),
        Effect::Hang => match pending::<Infallible>().await {},
        Effect::Latency(time) => {
            tokio::time::sleep(*time).await;
            return Ok(None);
        }
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// What is answered to a request that has been carried out.
async fn afterwards(shared: &Shared, fault: Option<Fault>, answer: Answer) -> io::Result<Answer> {
    let Some(fault) = fault.filter(|fault| fault.effect().is_after()) else { return Ok(answer) };
    if !answer.status().is_success() {
        shared.faults.give_back(fault);
        return Ok(answer);
    }
    match fault.effect() {
        Effect::CloseAfter => Err(closed()),
        Effect::HangAfter => match pending::<Infallible>().await {},
        _ => Ok(internal_error()),
    }
}

/// An answer to a request whose signature names another region than that of the bucket.
fn wrong_region(shared: &Shared, target: &Target, uri: &http::Uri, headers: &HeaderMap) -> Option<Answer> {
    if matches!(target.operation, Operation::CreateBucket | Operation::GetBucketLocation) {
        return None;
    }
    let region = shared.store().buckets.get(&target.bucket)?.region.clone();
    let signed = signed_region(uri, headers).filter(|signed| *signed != region)?;
    let message = format!(
        "The authorization header is malformed; the region '{signed}' is wrong; expecting '{region}'"
    );
    let mut answer = match shared.wrong_region {
        WrongRegion::Malformed => xml(
            StatusCode::BAD_REQUEST,
            "AuthorizationHeaderMalformed",
            &format!("<Message>{message}</Message><Region>{region}</Region>"),
        ),
        WrongRegion::Redirect => xml(
            StatusCode::MOVED_PERMANENTLY,
            "PermanentRedirect",
            &format!(
                "<Message>The bucket you are attempting to access must be addressed using the specified \
                 endpoint.</Message><Bucket>{}</Bucket>",
                target.bucket
            ),
        ),
    };
    answer.headers_mut().insert("x-amz-bucket-region", region.parse().ok()?);
    Some(answer)
}

/// The region in `Credential=key/date/region/s3/aws4_request`, of a header or of a presigned URL.
fn signed_region(uri: &http::Uri, headers: &HeaderMap) -> Option<String> {
    let header = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let header = header.and_then(|value| value.split_once("Credential=")).map(|(_, scope)| scope.to_owned());
    let query = || query_pairs(uri).into_iter().find(|(name, _)| name == "X-Amz-Credential");
    let scope = header.or_else(|| query().map(|(_, scope)| scope))?;
    scope.split('/').nth(2).map(str::to_owned)
}

fn redirect(base: &str, uri: &http::Uri) -> Answer {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let place = format!("{}{path}", base.trim_end_matches('/'));
    let mut answer =
        error(StatusCode::TEMPORARY_REDIRECT, "TemporaryRedirect", "Please re-send this request elsewhere.");
    if let Ok(place) = place.parse() {
        answer.headers_mut().insert(LOCATION, place);
    }
    answer
}

fn internal_error() -> Answer {
    error(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalError",
        "We encountered an internal error. Please try again.",
    )
}

fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    xml(status, code, &format!("<Message>{message}</Message>"))
}

fn xml(status: StatusCode, code: &str, rest: &str) -> Answer {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>{rest}\
         </Error>"
    );
    let mut answer = Response::new(Bytes::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/xml"));
    answer
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "closed on order")
}
