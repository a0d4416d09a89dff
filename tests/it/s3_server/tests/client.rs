//! Two clients: `object_store`'s own, and one that signs and sends a single request and shows the answer as it is.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, AwsCredential};
use object_store::client::{HttpClient, HttpConnector as _, HttpError, HttpRequestBody, ReqwestConnector};
use object_store::{ClientOptions, RetryConfig};

use crate::s3_server::{REGION, TestServer};

/// A server with one bucket.
pub(super) const BUCKET: &str = "lake";

pub(super) fn lake() -> TestServer {
    TestServer::builder().bucket(BUCKET).start()
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first element of this name.
    pub(super) fn element(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
    }

    /// Status and error code.
    pub(super) fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.element("Code").unwrap_or_default())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// One request, signed as its fields say.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    pub(super) credential: AwsCredential,
    pub(super) region: String,
    pub(super) signed: bool,
}

impl Ask {
    /// `path` as it stands in a URL: escaped, with its query.
    pub(super) fn new(server: &TestServer, method: Method, path: &str) -> Self {
        Self {
            method,
            url: format!("{}{path}", server.endpoint()),
            headers: Vec::new(),
            body: Bytes::new(),
            credential: credential(server.access_key(), server.secret_key(), None),
            region: REGION.to_owned(),
            signed: true,
        }
    }

    pub(super) fn get(server: &TestServer, path: &str) -> Self {
        Self::new(server, Method::GET, path)
    }

    pub(super) fn put(server: &TestServer, path: &str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::new(server, Method::PUT, path) }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn by(self, credential: AwsCredential) -> Self {
        Self { credential, ..self }
    }

    pub(super) fn region(self, region: &str) -> Self {
        Self { region: region.to_owned(), ..self }
    }

    /// Not signed at all: of a URL that is, or of nobody.
    pub(super) fn unsigned(self) -> Self {
        Self { signed: false, ..self }
    }

    pub(super) async fn send(self) -> Answer {
        self.try_send().await.expect("an answer")
    }

    pub(super) async fn try_send(self) -> Result<Answer, HttpError> {
        let mut request = http::Request::builder().method(self.method).uri(&self.url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(HttpRequestBody::from(self.body)).expect("a request");
        if self.signed {
            AwsAuthorizer::new(&self.credential, "s3", &self.region).authorize(&mut request, None);
        }
        let (head, body) = http_client().execute(request).await?.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body: body.bytes().await? })
    }
}

pub(super) fn credential(access: &str, secret: &str, token: Option<&str>) -> AwsCredential {
    AwsCredential {
        key_id: access.to_owned(),
        secret_key: secret.to_owned(),
        token: token.map(str::to_owned),
    }
}

fn http_client() -> HttpClient {
    ReqwestConnector::default().connect(&ClientOptions::new().with_allow_http(true)).expect("a client")
}

/// `object_store`'s client, with nothing tried twice.
pub(super) fn builder(server: &TestServer) -> AmazonS3Builder {
    AmazonS3Builder::new()
        .with_endpoint(server.endpoint())
        .with_allow_http(true)
        .with_bucket_name(BUCKET)
        .with_region(REGION)
        .with_access_key_id(server.access_key())
        .with_secret_access_key(server.secret_key())
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
}

pub(super) fn store(server: &TestServer) -> AmazonS3 {
    builder(server).build().expect("a store")
}
