//! Google Cloud Storage and Azure, as `object_store` knows them: settings and credentials are those that its
//! documentation names, read from the environment.

use async_trait::async_trait;
#[cfg(feature = "azure")]
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService,
};
#[cfg(feature = "gcs")]
use object_store::gcp::GoogleCloudStorageBuilder;

use std::sync::Arc;

use super::adapter::Puts;
use super::{Abilities, Adapter};
use crate::client::http::{self, Plain};
#[cfg(feature = "azure")]
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};

const ALL: Abilities = Abilities { write: true, list: true, copies: None };

/// What one request can write, as their documentation says.
#[cfg(feature = "gcs")]
const LARGEST_GOOGLE: u64 = 5 << 40;
#[cfg(feature = "azure")]
const LARGEST_AZURE: u64 = 5_000 << 20;

/// The connections of keyfold: without redirects, which would carry tokens to another host, and in the clear only where
/// that is allowed.
#[derive(Debug, Clone, Copy)]
struct Connector(Plain);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = http::connect_patient().map_err(foreign)?;
        Ok(HttpClient::new(Guard { client, plain: self.0 }))
    }
}

fn foreign(error: Error) -> object_store::Error {
    object_store::Error::Generic { store: "keyfold", source: error.into() }
}

#[derive(Debug)]
struct Guard {
    client: HttpClient,
    plain: Plain,
}

#[async_trait]
impl HttpService for Guard {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        http::service_url(&request.uri().to_string(), "endpoint", self.plain)
            .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        self.client.execute(request).await
    }
}

/// A bucket of Google Cloud Storage.
///
/// # Errors
///
/// `Usage` for settings that cannot be used.
#[cfg(feature = "gcs")]
pub(crate) fn google(bucket: &str, plain: Plain) -> Result<Adapter> {
    let built = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(bucket)
        .with_http_connector(Connector(plain))
        .build();
    let store = built.map_err(|cause| wrong(cause, "set GOOGLE_APPLICATION_CREDENTIALS to a key file"))?;
    Ok(Adapter::new(Arc::new(store), ALL, Puts::Sent(LARGEST_GOOGLE)))
}

/// A container of Azure Blob Storage.
///
/// # Errors
///
/// `Usage` for settings that cannot be used.
#[cfg(feature = "azure")]
pub(crate) fn azure(location: &Location, plain: Plain) -> Result<Adapter> {
    let (container, _) = location.as_object().unwrap_or_default();
    let builder = MicrosoftAzureBuilder::from_env().with_http_connector(Connector(plain));
    // `container@account.dfs.core.windows.net` names the account as well.
    let builder = match container.split_once('@') {
        Some((_, _)) => builder.with_url(format!("abfss://{container}/")),
        None => builder.with_container_name(container),
    };
    let store = builder.build().map_err(|cause| {
        wrong(cause, "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or another credential")
    })?;
    Ok(Adapter::new(Arc::new(store), ALL, Puts::Sent(LARGEST_AZURE)))
}

fn wrong(cause: object_store::Error, hint: &'static str) -> Error {
    Error::new(ErrorKind::Usage, "the settings of the store cannot be used").hint(hint).because(cause)
}
