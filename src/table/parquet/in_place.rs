//! A file of a table written anew with updates in place, where it has the very columns of the table: row groups without a
//! changed row are copied as bytes.

use arrow::array::ArrayRef;
use arrow::datatypes::Schema;
use parquet::file::metadata::RowGroupMetaData;

use crate::client::file::Sink;
use crate::client::session::Session;
use crate::core::merge::kernel::Fates;
use crate::core::report::WorkCounts;
use crate::error::{Error, Result};
use crate::table::Change;
use crate::table::parquet::columns::Fold;
use crate::table::parquet::groups::Copying;
use crate::table::parquet::rewrite::{Run, changed, runs};
use crate::table::parquet::verify::verify;
use crate::table::parquet::{Folded, Opened, ParquetFile, layout};

/// Who wants to know what a file holds that is being written.
pub(crate) trait Witness: Sync {
    /// Is told that so many rows are written, of which it sees, or has seen, all columns.
    fn rows(&self, rows: u64);

    /// Is shown some values of a column that are written.
    fn values(&self, column: usize, values: &ArrayRef);

    /// Is shown a column of a row group that is copied; says whether the footer tells enough, or else wants to see the values.
    fn column(&self, column: usize, group: &RowGroupMetaData, opened: &Opened) -> bool;

    /// Is shown a row group that can be copied; says whether its footer tells enough, or else wants to see the rows.
    fn group(&self, group: &RowGroupMetaData, opened: &Opened) -> bool;
}

impl ParquetFile {
    /// Whether we have written it.
    pub(crate) fn is_ours(&self) -> bool {
        let footer = self.opened().metadata.metadata().file_metadata();
        footer.created_by().is_some_and(|writer| writer.starts_with("keyfold "))
    }

    /// Whether it has just the columns of `data`, as they can be written again.
    pub(crate) fn is_plainly(&self, data: &Schema) -> bool {
        let own = self.opened().schema().fields();
        let mut columns = own.iter().zip(data.fields());
        let stored = self.opened().metadata.metadata().file_metadata().schema_descr();
        own.len() == data.fields().len()
            && columns.all(|(own, wanted)| {
                let is_wide = own.is_nullable() || !wanted.is_nullable();
                own.name() == wanted.name() && own.data_type() == wanted.data_type() && is_wide
            })
            && layout::writable(stored, self.opened().schema()).is_ok()
    }

    /// Writes the file, which is plain and without deleted rows, with `fates` done to its rows; at least one stays.
    ///
    /// # Errors
    ///
    /// `InvalidData` if it cannot be read, `Io`.
    pub(crate) fn rewrite_in_place(
        &self,
        session: &Session,
        change: &Change<'_>,
        fates: Fates<'_>,
        witness: &dyn Witness,
        out: &mut Sink<'_>,
        work: &mut WorkCounts,
    ) -> Result<()> {
        let opened = self.opened();
        let Fates { replaced: pairs, deleted: leaving } = fates;
        let folded = Folded::new(opened.schema(), change)?;
        let mut writer = Copying::new(session, opened, None, out)?;
        let groups = opened.metadata.metadata().row_groups();
        let fold =
            Fold { first: self.first(), pairs, folded: Some(&folded), leaving, witness: Some(witness) };
        let is_changed = changed(opened, &fold);
        work.row_groups_rewritten += is_changed.iter().map(|changed| u64::from(*changed)).sum::<u64>();
        // Of one that can be copied columns may have to be decoded all the same, for the witness to see their values.
        let mut is_decoded = Vec::with_capacity(groups.len());
        for (number, group) in groups.iter().enumerate() {
            let can_pass = !is_changed[number] && writer.can_pass(number);
            is_decoded.push(!(can_pass && witness.group(group, opened)));
        }
        for run in runs(&is_decoded) {
            match run {
                Run::Same(group) => writer.pass(group)?,
                Run::Changed(groups) => writer.fold(groups, &fold)?,
            }
        }
        let written = writer.finish()?;
        if written.rows + leaving.len() as u64 != opened.rows() {
            return Err(Error::internal("a rewritten file has another number of rows than it should"));
        }
        verify(opened, out.file(), &written)
    }
}
