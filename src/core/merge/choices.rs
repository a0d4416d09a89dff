//! The answers to hard cases that a rule can give, each by the name that users give it; the first of each is the default.

/// An enum of choices of which the first is the default, by the names that users give them.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $(#[$first_meta:meta])* $first:ident = $first_word:literal,
        $($(#[$other_meta:meta])* $other:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, strum::Display, strum::VariantNames, strum::EnumString)]
        #[non_exhaustive]
        pub enum $name {
            $(#[$first_meta])*
            #[default]
            #[strum(serialize = $first_word)]
            $first,
            $($(#[$other_meta])* #[strum(serialize = $word)] $other,)*
        }
    };
}

choice! {
    /// What a null (or NaN) in the modification column of an incoming row means.
    NullModified {
        /// It is lower than every value.
        Lowest = "lowest",
        /// The upsert is refused.
        Error = "error",
    }
}

choice! {
    /// Who wins between an incoming and a stored row that have the same modification value and differ.
    Ties {
        /// The incoming one.
        Incoming = "incoming",
        /// The stored one; the incoming row counts as stale.
        Keep = "keep",
        /// The upsert is refused.
        Error = "error",
    }
}

choice! {
    /// What is done with an incoming row that is older than the stored one.
    Stale {
        /// It is left out, and counted.
        Ignore = "ignore",
        /// It is left out, and stands in the quarantine
        /// ([`UpsertOptions::quarantine`](crate::UpsertOptions::quarantine)) afterwards.
        Quarantine = "quarantine",
        /// The upsert is refused.
        Error = "error",
    }
}

choice! {
    /// Which of several incoming rows with one id counts, if they differ and no modification value decides.
    Duplicates {
        /// The upsert is refused.
        Error = "error",
        /// The first of them.
        First = "first",
        /// The last of them.
        Last = "last",
    }
}

choice! {
    /// What is done with incoming rows of which an id column is null.
    NullIds {
        /// The upsert is refused.
        Error = "error",
        /// A null is an id like any other: it equals a null.
        Match = "match",
        /// They are left out, and count as rejected.
        Skip = "skip",
        /// The same, and they stand in the quarantine
        /// ([`UpsertOptions::quarantine`](crate::UpsertOptions::quarantine)) afterwards.
        Quarantine = "quarantine",
    }
}

impl NullIds {
    /// Whether rows without an id are left out.
    pub(crate) fn leaves_out(self) -> bool {
        matches!(self, Self::Skip | Self::Quarantine)
    }
}

choice! {
    /// What is done with stored rows that have one id.
    StoredDuplicates {
        /// The upsert is refused if such an id comes in; others are left alone.
        Error = "error",
        /// The newest of them stays, that with the greatest modification value; without a modification column, and among those
        /// that are equally new, the last. The others go, whether the id comes in or not.
        Repair = "repair",
        /// An incoming row meets each of them, as if it were the only one.
        All = "all",
    }
}

choice! {
    /// Which value a column has in a stored row that an incoming one replaces.
    ColumnPolicy {
        /// The incoming one.
        Newest = "newest",
        /// The stored one: only new rows take what comes in.
        InsertOnly = "insert-only",
        /// The incoming one, unless it is null.
        KeepIfNull = "keep-if-null",
        /// The greater one. Nulls and NaN are left out where there is another value.
        Max = "max",
        /// The lesser one, likewise.
        Min = "min",
    }
}

choice! {
    /// What is done with incoming columns that are not stored.
    ExtraColumns {
        /// The upsert is refused.
        Error = "error",
        /// Those in which a row has a value are stored from then on, behind the others, in the types that they would have in a new
        /// target; the others are left out. Rows that the upsert does not write have null there. If no row changes, nothing is
        /// written, and no column is added.
        Add = "add",
        /// They are left out.
        Ignore = "ignore",
    }
}

choice! {
    /// What is done with stored columns that do not come in.
    MissingColumns {
        /// An update keeps what is stored, a new row has null.
        Keep = "keep",
        /// The upsert is refused.
        Error = "error",
        /// They are null in updated rows, too.
        Null = "null",
    }
}

choice! {
    /// What is done with incoming values that do not fit the stored type exactly.
    Lossy {
        /// The upsert is refused.
        Error = "error",
        /// They are null. Ids and modification values are refused all the same.
        Null = "null",
    }
}

choice! {
    /// What is done with incoming timestamps that are finer than the stored unit.
    FineTimestamps {
        /// The upsert is refused.
        Error = "error",
        /// They are cut, toward the past.
        Truncate = "truncate",
    }
}

choice! {
    /// Whether names of columns that differ in their case alone are one.
    NameCase {
        /// They are not.
        Exact = "exact",
        /// They are: an incoming column, or one that a rule names, is the stored one that differs from it in its case alone, if
        /// there is only one.
        Fold = "fold",
    }
}
