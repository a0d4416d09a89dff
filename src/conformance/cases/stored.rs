//! Cases about incoming rows that meet stored ones: who wins, and what is left alone.

use super::{
    BY_ID, Case, Counts, Expect, INSERTED, NEWEST, NONE, STALE, TIED, UNCHANGED, UPDATED, WITH_A_HEADER,
    no_rows, refused, rows,
};

pub(super) fn cases() -> Vec<Case> {
    [order(), newest(), oddities()].concat()
}

fn order() -> Vec<Case> {
    let three = || rows(&[(1, "a", 1), (2, "b", 1), (3, "c", 1)]);
    vec![
        Case::new("a_matched_row_is_replaced_where_it_stands", three(), rows(&[(2, "B", 1)]), BY_ID, UPDATED),
        Case::new(
            "new_rows_come_last_in_source_order",
            three(),
            rows(&[(9, "z", 1), (0, "y", 1)]),
            BY_ID,
            Expect::Counts(Counts { inserted: 2, ..NONE }),
        ),
        Case::new("a_row_that_is_equal_is_unchanged", three(), rows(&[(3, "c", 1)]), BY_ID, UNCHANGED),
        Case::new(
            "rows_of_every_fate_come_in_at_once",
            rows(&[(1, "a", 5), (2, "b", 5), (3, "c", 5), (4, "d", 5), (5, "e", 5)]),
            rows(&[
                (6, "f", 1),
                (4, "D", 6),
                (3, "C", 4),
                (2, "b", 5),
                (1, "A", 5),
                (7, "g", 1),
                (7, "g", 0),
            ]),
            NEWEST,
            Expect::Counts(Counts {
                inserted: 2,
                updated: 2,
                unchanged: 1,
                stale: 1,
                duplicates: 1,
                ties: 1,
                ..NONE
            }),
        ),
        Case::new(
            "every_stored_row_can_be_replaced",
            three(),
            rows(&[(3, "C", 1), (1, "A", 1), (2, "B", 1)]),
            BY_ID,
            Expect::Counts(Counts { updated: 3, ..NONE }),
        ),
        Case::new("method_id_does_not_ask_which_row_is_newer", three(), rows(&[(1, "A", 0)]), BY_ID, UPDATED),
        Case::new(
            "large_ids_are_not_rounded",
            rows(&[(9_007_199_254_740_992, "a", 1), (i64::MIN, "b", 1)]),
            rows(&[(9_007_199_254_740_993, "A", 1), (i64::MIN, "B", 1), (i64::MAX, "c", 1)]),
            BY_ID,
            Expect::Counts(Counts { inserted: 2, updated: 1, ..NONE }),
        ),
    ]
}

fn newest() -> Vec<Case> {
    let five = || rows(&[(1, "a", Some(5)), (2, "b", None)]);
    let row = |id: i64, value: &'static str, at: Option<i64>| rows(&[(id, value, at)]);
    vec![
        Case::new("a_newer_row_replaces_the_stored_one", five(), row(1, "A", Some(6)), NEWEST, UPDATED),
        Case::new(
            "a_newer_row_replaces_though_only_its_time_differs",
            five(),
            row(1, "a", Some(6)),
            NEWEST,
            UPDATED,
        ),
        Case::new("an_older_row_is_stale", five(), row(1, "A", Some(4)), NEWEST, STALE),
        Case::new(
            "an_equally_new_row_that_differs_wins_by_a_tie",
            five(),
            row(1, "A", Some(5)),
            NEWEST,
            TIED,
        ),
        Case::new(
            "an_equally_new_row_that_is_equal_is_unchanged",
            five(),
            row(1, "a", Some(5)),
            NEWEST,
            UNCHANGED,
        ),
        Case::new(
            "a_null_modification_value_never_beats_a_stored_one",
            five(),
            row(1, "A", None),
            NEWEST,
            STALE,
        ),
        Case::new(
            "any_modification_value_beats_a_stored_null",
            five(),
            row(2, "B", Some(i64::MIN)),
            NEWEST,
            UPDATED,
        ),
        Case::new("null_against_null_is_a_tie_if_the_rows_differ", five(), row(2, "B", None), NEWEST, TIED),
        Case::new(
            "null_against_null_is_unchanged_if_the_rows_are_equal",
            five(),
            row(2, "b", None),
            NEWEST,
            UNCHANGED,
        ),
        Case::new("a_new_row_needs_no_modification_value", five(), row(3, "c", None), NEWEST, INSERTED),
    ]
}

fn oddities() -> Vec<Case> {
    let doubled = || rows(&[(1, "a", 1), (2, "b", 1), (1, "c", 1)]);
    vec![
        Case::new(
            "an_id_stored_twice_is_refused_if_it_comes_in",
            doubled(),
            rows(&[(1, "A", 2)]),
            BY_ID,
            refused("ids are stored more than once"),
        ),
        Case::new(
            "an_id_stored_twice_is_refused_though_one_row_is_equal",
            doubled(),
            rows(&[(1, "a", 1)]),
            NEWEST,
            refused("ids are stored more than once"),
        ),
        Case::new(
            "an_id_stored_twice_is_left_alone_if_it_does_not_come_in",
            doubled(),
            rows(&[(2, "B", 2)]),
            NEWEST,
            UPDATED,
        ),
        Case::new(
            "stored_rows_without_an_id_are_left_alone",
            rows(&[(None, "a", 1), (Some(1), "b", 1), (None, "c", 1)]),
            rows(&[(1, "B", 1)]),
            BY_ID,
            UPDATED,
        ),
        Case::new(
            "an_incoming_null_overwrites",
            rows(&[(1, "a", 1)]),
            rows(&[(1, None::<&str>, 2)]),
            NEWEST,
            UPDATED,
        ),
        Case::new(
            "a_null_differs_from_a_value",
            rows(&[(1, None::<&str>, 1)]),
            rows(&[(1, "a", 1)]),
            BY_ID,
            UPDATED,
        ),
        Case::new(
            "a_null_equals_a_null",
            rows(&[(1, None::<&str>, 1), (2, Some("b"), 1)]),
            rows(&[(1, None::<&str>, 1)]),
            BY_ID,
            UNCHANGED,
        ),
        Case::new(
            "an_empty_string_is_not_a_null",
            rows(&[(1, None), (2, Some("b"))].map(|(id, v)| (id, v, 1))),
            rows(&[(1, "", 1)]),
            BY_ID,
            UPDATED,
        ),
        Case::new(
            "text_that_looks_like_a_number_is_text",
            rows(&[(1, "02139", 1), (2, "x", 1)]),
            rows(&[(1, "2139", 1)]),
            BY_ID,
            UPDATED,
        ),
        Case::new(
            "text_keeps_spaces_quotes_and_line_ends",
            rows(&[(1, " a,\"b\"\r\nc\t", 1), (2, "x", 1)]),
            rows(&[(1, " a,\"b\"\r\nc\t", 1), (3, "\n", 1)]),
            BY_ID,
            Expect::Counts(Counts { unchanged: 1, inserted: 1, ..NONE }),
        ),
        Case::new("a_table_without_rows_takes_new_ones", no_rows(), rows(&[(1, "a", 1)]), NEWEST, INSERTED)
            .only(WITH_A_HEADER),
    ]
}
