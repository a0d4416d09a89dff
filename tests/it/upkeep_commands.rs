//! The command line on what is done to tables as a whole.

use crate::run::Place;

/// A table of three small files.
fn table(target: &[&str]) -> Place {
    let place = Place::new();
    for round in 0..3 {
        place.file("in.csv", format!("id,total\n{round},1.5\n"));
        let mut args = vec!["upsert", "in.csv"];
        args.extend(target);
        args.extend(["--id", "id"]);
        place.run(&args).ok();
    }
    place
}

#[test]
fn small_files_are_put_together_and_old_ones_named_and_deleted() {
    for target in [&["orders"][..], &["orders/", "--target-format", "parquet"]] {
        let place = table(target);
        let planned = place.run(&["optimize", "orders", "--dry-run"]);
        assert!(planned.ok().out.contains("3 of 3 files would become 1"), "{}", planned.out);
        let done = place.run(&["optimize", "orders", "--target-size", "1MiB", "--output", "json"]);
        assert_eq!((&done.json()["files_removed"], &done.json()["files_added"]), (&3.into(), &1.into()));
        let sorted = place.run(&["optimize", "orders", "--z-order", "id,total"]);
        if target.len() > 1 {
            assert!(sorted.failed(1).contains("Z-order"), "{}", sorted.err);
        } else {
            assert!(sorted.ok().out.contains("1 of 1 files became 1, now version 4"), "{}", sorted.out);
        }
        let again = place.run(&["optimize", "orders"]);
        assert!(again.ok().out.contains("nothing to put together"), "{}", again.out);
        if target.len() > 1 {
            assert!(
                place.run(&["vacuum", "orders"]).failed(1).contains("nothing is ever deleted from a folder")
            );
            continue;
        }
        let none = place.run(&["vacuum", "orders"]);
        assert!(none.ok().out.contains("no file that nobody needed since"), "{}", none.out);
        let early = ["vacuum", "orders", "--retention", "0s", "--allow-early"];
        let named = place.run(&early);
        assert!(
            named.ok().out.contains("4 files") && named.out.contains("without --delete"),
            "{}",
            named.out
        );
        let deleted = place.run(&[&early[..], &["--delete", "--output", "json"]].concat());
        assert_eq!(deleted.json()["files"].as_array().map(Vec::len), Some(4));
        assert_eq!(deleted.json()["dry_run"], false);
        assert_eq!(place.run(&["count", "orders"]).ok().out, "3\n");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = table(&["orders"]);
    let refused = |args: &[&str], code: i32| place.run(args).failed(code).to_owned();
    assert!(refused(&["vacuum", "orders", "--retention", "1h"], 2).contains("must stay for longer"));
    assert!(refused(&["vacuum", "orders", "--retention", "soon"], 2).contains("no length of time"));
    assert!(refused(&["vacuum", "orders", "--allow-early"], 2).contains("--retention"));
    assert!(refused(&["optimize", "orders", "--target-size", "big"], 2).contains("no size"));
    assert!(refused(&["optimize", "in.csv"], 2).contains("no table of many files"));
    assert!(refused(&["vacuum", "nowhere"], 1).contains("there is no such table"));
}
