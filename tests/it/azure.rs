//! Azure Blob Storage, against Azurite: ignored unless asked for, as CI does where it can install that.

use std::thread;

use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};
use object_store::client::{ClientOptions, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};

use crate::peers::Peer;
use crate::run::{Place, counts};

/// What Azurite's documentation gives to everybody.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A server of its own with the container `lake`.
struct Azurite {
    peer: Peer,
    _folder: tempfile::TempDir,
}

impl Azurite {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().display().to_string();
        let peer = Peer::start("azurite-blob", |port| {
            let words = ["--blobHost", "127.0.0.1", "--blobPort", port, "--silent", "--disableTelemetry"];
            [&words[..], &["--skipApiVersionCheck", "--location", &place]]
                .concat()
                .iter()
                .map(|w| (*w).to_owned())
                .collect()
        });
        let server = Self { peer, _folder: folder };
        server.make_container();
        server
    }

    fn url(&self) -> String {
        self.peer.url()
    }

    fn make_container(&self) {
        let client = ReqwestConnector::default().connect(&ClientOptions::new().with_allow_http(true));
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = "PUT".parse().expect("a method");
        *request.uri_mut() =
            format!("{}/{ACCOUNT}/lake?restype=container", self.url()).parse().expect("a url");
        request.headers_mut().insert("content-length", "0".parse().expect("a header"));
        let key = AzureCredential::AccessKey(AzureAccessKey::try_new(KEY).expect("a key"));
        AzureAuthorizer::new(&key, ACCOUNT).authorize(&mut request);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let made = runtime.block_on(async { client.expect("a client").execute(request).await });
        assert_eq!(made.expect("answers").status(), 201);
    }

    fn place(&self) -> Place {
        let mut place = Place::new();
        place.set([
            ("AZURE_STORAGE_USE_EMULATOR", "true".to_owned()),
            ("AZURITE_BLOB_STORAGE_URL", self.url()),
        ]);
        place
    }
}

#[test]
#[ignore = "needs azurite-blob on the PATH: run it with --ignored"]
fn rows_are_written_read_and_folded_on_azure() {
    let server = Azurite::start();
    for backend in ["polars", "datafusion"] {
        for extension in ["csv", "ndjson", "parquet"] {
            let place = server.place();
            place.file("orders.csv", "id,note,at\n1,a,2024-01-01\n2,b,2024-01-01\n");
            place.file("changes.csv", "id,note,at\n2,B,2024-02-01\n3,c,2024-02-01\n");
            let target = format!("az://lake/{backend}/orders.{extension}");
            let run = |args: &[&str]| place.run(&[args, &["--backend", backend]].concat());
            run(&["write", "orders.csv", &target]).ok();
            assert!(run(&["write", "orders.csv", &target]).failed(1).contains("exists already"));
            let upsert =
                ["upsert", "changes.csv", &target, "--id", "id", "--modified", "at", "--output", "json"];
            assert_eq!(counts(&run(&upsert).json(), &["inserted", "updated", "rows_after"]), [1, 1, 3]);
            assert_eq!(counts(&run(&upsert).json(), &["unchanged", "bytes_written"]), [2, 0]);
            let pattern = format!("az://lake/{backend}/*.{extension}");
            assert_eq!(
                run(&["read", &pattern, "--columns", "note", "--output", "csv"]).ok().out,
                "note\na\nB\nc\n"
            );
        }
    }
    let missing = server.place().run(&["read", "az://lake/no.csv"]);
    assert!(missing.failed(1).contains("there is no such file"), "{}", missing.err);
}

#[test]
#[ignore = "needs azurite-blob on the PATH: run it with --ignored"]
fn four_writers_at_once_lose_nothing_on_azure() {
    let server = Azurite::start();
    let place = &server.place();
    thread::scope(|scope| {
        for writer in 0..4 {
            scope.spawn(move || {
                for row in 0..5 {
                    let name = format!("{writer}-{row}.csv");
                    place.file(&name, format!("id\n{}\n", 10 * writer + row));
                    let upsert = ["upsert", &name, "az://lake/t.csv", "--id", "id", "--max-retries", "100"];
                    place.run(&upsert).ok();
                }
            });
        }
    });
    assert_eq!(place.run(&["count", "az://lake/t.csv"]).ok().out, "20\n");
}
