//! A second opinion on S3: moto, which others wrote. It checks no signatures, and it keeps the conditions of whole
//! objects but not those of uploads in parts.

use crate::peers::Peer;
use crate::run::{Place, counts};

fn start() -> (Peer, Place) {
    let peer = Peer::start("moto_server", |port| ["-H", "127.0.0.1", "-p", port].map(str::to_owned).to_vec());
    let mut place = Place::new();
    place.set([
        ("AWS_ENDPOINT_URL", peer.url()),
        ("AWS_ACCESS_KEY_ID", "a".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "b".to_owned()),
        ("AWS_REGION", "eu-west-1".to_owned()),
    ]);
    place.run(&["bucket", "create", "lake"]).ok();
    (peer, place)
}

#[test]
#[ignore = "needs moto_server on the PATH: run it with --ignored"]
fn commands_on_objects_and_buckets_work_on_moto() {
    let (_peer, place) = start();
    assert_eq!(place.run(&["bucket", "location", "lake"]).ok().out, "eu-west-1\n");
    for key in ["a//b", "x y+z", "100%", "ä/ö", "plain.csv"] {
        let object = format!("s3://lake/{key}");
        assert_eq!(place.pipe(&["put", "-", &object, "--metadata", "k=v"], key.as_bytes()).code, Some(0));
        assert_eq!(place.run(&["cat", &object]).ok().out, key);
        let stat = place.run(&["stat", &object, "--output", "json"]).json();
        assert_eq!((stat["key"].as_str(), stat["metadata"]["k"].as_str()), (Some(key), Some("v")));
        place.run(&["cp", &object, &format!("s3://lake/copies/{key}")]).ok();
    }
    assert!(
        place
            .pipe(&["put", "-", "s3://lake/plain.csv", "--if-absent"], b"x")
            .failed(1)
            .contains("exists already")
    );
    let listed = place.run(&["ls", "s3://lake/copies/", "-r", "--output", "json"]).json();
    assert_eq!(listed["objects"].as_array().map(Vec::len), Some(5));
    place.run(&["rm", "s3://lake/copies/", "-r"]).ok();
    assert!(place.run(&["bucket", "rm", "lake"]).failed(1).contains("the bucket is not empty"));
    place.run(&["bucket", "rm", "lake", "--force"]).ok();
    assert_eq!(place.run(&["bucket", "ls"]).ok().out, "");
}

#[test]
#[ignore = "needs moto_server on the PATH: run it with --ignored"]
fn rows_are_folded_on_moto_and_large_objects_go_up_whole() {
    let (_peer, place) = start();
    let wide = |id: usize| format!("{id},{:0>200}\n", id * 7_919 % 1_000_003);
    place.file("stored.csv", format!("id,wide\n{}", (0..150_000).map(wide).collect::<String>()));
    place.file("new.csv", "id,wide\n-1,x\n3,y\n");
    for (backend, target) in [("polars", "s3://lake/t.csv"), ("datafusion", "s3://lake/t.parquet")] {
        place.run(&["write", "stored.csv", target, "--backend", backend]).ok();
        let upsert = ["upsert", "new.csv", target, "--id", "id", "--output", "json", "--backend", backend];
        assert_eq!(
            counts(&place.run(&upsert).json(), &["inserted", "updated", "rows_after"]),
            [1, 1, 150_001]
        );
        assert_eq!(counts(&place.run(&upsert).json(), &["unchanged", "bytes_written"]), [2, 0]);
    }
}
