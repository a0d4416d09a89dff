//! Writes a text file anew with changes folded in. Bytes that do not change are copied as they are:
//! marks, headers, quoting, line ends, blank lines.

use std::fs::File;
use std::io::Write;
use std::ops::Range;

use super::encode::RecordWriter;
use super::file::TextFile;
use super::ndjson;
use super::records::Records;
use super::replace::{Kept, Replaced, kept, replace_object, replace_record};
use super::rows::Rows;
use super::window::{BLOCK, Pass};
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::merge::cells::Cells;
use crate::core::merge::kernel::Fates;
use crate::error::{Error, Result};

/// Bytes that are gathered before they are written.
const GATHER: usize = 1 << 20;

/// The new file as far as it is written.
pub(super) struct Rewriter<'f> {
    out: Out<'f>,
    records: RecordWriter,
    /// Blank lines behind the last record: new rows are written before them.
    held: Vec<u8>,
    rows: u64,
}

impl<'f> Rewriter<'f> {
    pub(super) fn new(file: &TextFile, out: &'f mut File) -> Self {
        Self { out: Out::new(out), records: file.writer(), held: Vec::new(), rows: 0 }
    }

    /// Copies the stored file with `fates` done to its records. `sources` says for each settled incoming row which of the
    /// sent ones it is, and `cells` which of its values are written.
    pub(super) fn copy(
        &mut self,
        file: &TextFile,
        session: &Session,
        fates: Fates<'_>,
        (sources, cells): (&[u32], &Cells),
    ) -> Result<()> {
        let slots = ndjson::Slots::new(&file.names);
        // Tokens of NDJSON are compared one by one; values are looked at only where something is said of their column.
        let wanted: Vec<String> = cells.dependent().map(ToOwned::to_owned).collect();
        let Some(mut records) = file.records(session, &wanted)? else {
            self.records.header(file.line_end, &mut self.out.gathered);
            return Ok(());
        };
        let (mut first, mut done) = (0, 0);
        while records.advance()? {
            let content = self.start_block(&mut records)?;
            let (mut at, mut next) = (0, 0);
            let end = first + records.len() as u64;
            let here = fates.within(&(first..end));
            let changes = Changes::new(file, &mut records, here, first, (sources, cells))?;
            for (row, change) in &changes.rows {
                let place = records.record(*row);
                self.keep(file, &mut records, at..place.start, next..*row)?;
                (at, next) = (place.end, row + 1);
                if let Some(index) = change {
                    let record = records.rows(*row..*row + 1)?;
                    changes.write(file, &slots, &record, *index, &mut self.out.gathered)?;
                }
            }
            let left = next..records.len();
            self.keep(file, &mut records, at..content, left)?;
            self.held.extend_from_slice(&records.bytes()[content..]);
            self.rows += end - first - here.deleted.len() as u64;
            first = end;
            done += changes.rows.len();
        }
        if done == fates.replaced.len() + fates.deleted.len() {
            return Ok(());
        }
        Err(Error::internal("a row to be changed is not in the file").with("file", &file.location))
    }

    /// Writes some bytes of a block as they are: these records, and what stands before the first one of the block. For columns
    /// that the records have no field for yet, they get an empty one.
    fn keep(
        &mut self,
        file: &TextFile,
        records: &mut Records<Pass>,
        bytes: Range<usize>,
        rows: Range<usize>,
    ) -> Result<()> {
        if file.fields_to_add() == 0 {
            return self.out.put(&records.bytes()[bytes]);
        }
        let is_start = bytes.start == 0;
        if is_start && records.head() > 0 {
            let head = &records.bytes()[..records.head()];
            let line_end = if file.layout.header { line_end_of(head) } else { &head[..0] };
            self.out.put(&head[..head.len() - line_end.len()])?;
            self.records.more_names(file.fields_to_add(), &mut self.out.gathered);
            self.out.put(line_end)?;
        }
        if rows.is_empty() {
            return Ok(());
        }
        let more = vec![file.layout.delimiter; file.fields_to_add()];
        let rows = records.rows(rows)?;
        for row in 0..rows.len() {
            let (record, line_end) = (rows.record(row), rows.line_end(row));
            self.out.put(&record.as_bytes()[..record.len() - line_end.len()])?;
            self.out.put(&more)?;
            self.out.put(line_end.as_bytes())?;
        }
        Ok(())
    }

    /// Where the last record of the block ends. Blank lines that were held back are written, if the
    /// block shows that they were not the last ones.
    fn start_block(&mut self, records: &mut Records<Pass>) -> Result<usize> {
        let last = records.len().checked_sub(1);
        let content = last.map_or(records.head(), |last| records.record(last).end);
        if content > 0 {
            self.out.put(&self.held)?;
            self.held.clear();
        }
        Ok(content)
    }

    /// Adds rows of what was sent.
    pub(super) fn insert(&mut self, file: &TextFile, rows: impl Iterator<Item = usize>) -> Result<()> {
        for row in rows {
            let blank = self.rows == 0 && file.layout.format == Format::Ndjson;
            if !blank && self.out.last() != b'\n' {
                self.out.gathered.extend_from_slice(file.line_end.as_bytes());
            }
            let cells = file.sent.iter().map(|sent| sent.as_ref().map(|sent| &sent.cells));
            self.records.record(cells, row, file.line_end, &mut self.out.gathered);
            self.out.relieve()?;
            self.rows += 1;
        }
        Ok(())
    }

    /// Writes what is left; gives the rows and bytes of the new file.
    pub(super) fn finish(mut self) -> Result<(u64, u64)> {
        self.out.put(&self.held)?;
        self.out.flush()?;
        Ok((self.rows, self.out.written))
    }
}

/// The end of a line, if it has one.
fn line_end_of(line: &[u8]) -> &[u8] {
    let end = if line.ends_with(b"\r\n") { 2 } else { usize::from(line.ends_with(b"\n")) };
    &line[line.len() - end..]
}

/// The records of a block that are to be changed.
struct Changes {
    /// Where they stand in the block, ascending; of those that are replaced, by which of `sources`.
    rows: Vec<(usize, Option<usize>)>,
    /// The rows of what was sent that take the places of others.
    sources: Vec<u32>,
    kept: Kept,
}

impl Changes {
    /// Takes in `fates`, all of this block, whose first row is `first` in the file.
    fn new(
        file: &TextFile,
        records: &mut Records<Pass>,
        fates: Fates<'_>,
        first: u64,
        (sources, cells): (&[u32], &Cells),
    ) -> Result<Self> {
        let place = |row: u64| usize::try_from(row - first).unwrap_or(usize::MAX);
        let replaced: Vec<usize> = fates.replaced.iter().map(|pair| place(pair.stored_row)).collect();
        let sources: Vec<u32> =
            fates.replaced.iter().map(|change| sources[change.incoming as usize]).collect();
        let mut kept_fields = Kept::new();
        let places: Vec<_> = (0..file.names.len()).map(|column| file.place(records, column)).collect();
        if let [low, .., high] | [low @ high] = &replaced[..] {
            let picks: Vec<usize> = replaced.iter().map(|row| row - low).collect();
            let replaced = Replaced { pairs: fates.replaced, picks: &picks, sources: &sources };
            kept_fields = kept(file, cells, &records.rows(*low..*high + 1)?, &places, &replaced)?;
        }
        let changed = replaced.iter().enumerate().map(|(index, row)| (*row, Some(index)));
        let gone = fates.deleted.iter().map(|row| (place(*row), None));
        let mut rows: Vec<_> = changed.chain(gone).collect();
        rows.sort_unstable_by_key(|(row, _)| *row);
        Ok(Self { rows, sources, kept: kept_fields })
    }

    /// Writes the only record of `rows`, which is the one at `index` of these, anew.
    fn write(
        &self,
        file: &TextFile,
        slots: &ndjson::Slots,
        rows: &Rows<'_>,
        index: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let source = self.sources[index] as usize;
        let keeps = |slot: usize| self.kept[slot].as_ref().is_some_and(|kept| kept.value(index));
        if file.layout.format == Format::Ndjson {
            return replace_object(file, slots, rows, source, keeps, out);
        }
        replace_record(file, rows, source, keeps, out);
        Ok(())
    }
}

/// Bytes on their way to a file.
struct Out<'f> {
    file: &'f mut File,
    gathered: Vec<u8>,
    /// The last byte that went to the file; a line end while there is none.
    last: u8,
    written: u64,
}

impl<'f> Out<'f> {
    fn new(file: &'f mut File) -> Self {
        Self { file, gathered: Vec::with_capacity(GATHER), last: b'\n', written: 0 }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() < GATHER {
            self.gathered.extend_from_slice(bytes);
            return self.relieve();
        }
        self.flush()?;
        self.write(bytes)
    }

    /// Writes what is gathered, if it is much.
    fn relieve(&mut self) -> Result<()> {
        if self.gathered.len() < GATHER { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        let mut gathered = std::mem::take(&mut self.gathered);
        self.write(&gathered)?;
        gathered.clear();
        // One enormous record should not be paid for until the end.
        gathered.shrink_to(BLOCK);
        self.gathered = gathered;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|cause| Error::io("cannot write the new file", cause))?;
        self.last = bytes.last().copied().unwrap_or(self.last);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// The last byte so far.
    fn last(&self) -> u8 {
        self.gathered.last().copied().unwrap_or(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::location::Location;
    use crate::core::merge::kernel::Pair;
    use crate::core::options::CsvOptions;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use std::io::{Read, Seek};
    use std::sync::Arc;

    /// Replaces row `i` by sent row `i` for each of `replaced`, and adds those of `inserted`.
    fn rewritten(
        name: &str,
        csv: &CsvOptions,
        text: &str,
        columns: Vec<(&str, ArrayRef)>,
        replaced: &[(u64, u32)],
        inserted: &[usize],
    ) -> String {
        let mut stored = tempfile::tempfile().expect("a file");
        stored.write_all(text.as_bytes()).expect("written");
        let session = Session::default();
        let format = Format::from_name(name).expect("a format");
        let mut file =
            TextFile::open(&session, stored, &Location::from_path(name), format, csv).expect("opens");
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )
        .expect("a batch");
        file.fit_batches(&batch.schema(), &[batch], None).expect("fits");
        let mut out = tempfile::tempfile().expect("a file");
        let mut rewriter = Rewriter::new(&file, &mut out);
        let replaced: Vec<_> = replaced
            .iter()
            .map(|(row, sent)| Pair { stored_row: *row, incoming: *sent, is_stamp: false })
            .collect();
        let fates = Fates { replaced: &replaced, deleted: &[] };
        rewriter.copy(&file, &session, fates, (&[0, 1, 2, 3], &Cells::default())).expect("copies");
        rewriter.insert(&file, inserted.iter().copied()).expect("inserts");
        let (_, bytes) = rewriter.finish().expect("finishes");
        let mut text = String::new();
        out.rewind().expect("rewinds");
        out.read_to_string(&mut text).expect("reads");
        assert_eq!(bytes, text.len() as u64);
        text
    }

    fn csv(
        text: &str,
        columns: Vec<(&str, ArrayRef)>,
        replaced: &[(u64, u32)],
        inserted: &[usize],
    ) -> String {
        rewritten("a.csv", &CsvOptions::default(), text, columns, replaced, inserted)
    }

    fn json(
        text: &str,
        columns: Vec<(&str, ArrayRef)>,
        replaced: &[(u64, u32)],
        inserted: &[usize],
    ) -> String {
        rewritten("a.ndjson", &CsvOptions::default(), text, columns, replaced, inserted)
    }

    fn strings(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    fn numbers(values: &[Option<i64>]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    #[test]
    fn untouched_bytes_stay_and_missing_columns_keep_their_field() {
        let text = "\u{feff}id,\"zip\",x\r\n 1,02139,\"1.50\"\r\n2,\"0\n1\",1e3\n3,\"\",\r\n\r\n\r\n";
        let columns = || vec![("x", strings(&[Some("0.10")])), ("id", strings(&[Some("2")]))];
        let expected = text.replace("1e3\n", "0.10\n");
        assert_eq!(csv(text, columns(), &[(1, 0)], &[]), expected);
        let expected = text.replace("1e3\n", "0.10\n").replace("\"\",\r\n", "\"\",\r\n2,,0.10\r\n");
        assert_eq!(csv(text, columns(), &[(1, 0)], &[0]), expected);
    }

    #[test]
    fn a_last_record_without_a_line_end_gets_one_only_before_new_rows() {
        let columns = || vec![("a", numbers(&[Some(7), None]))];
        assert_eq!(csv("a,b\r\n1,2", columns(), &[(0, 0)], &[]), "a,b\r\n7,2");
        assert_eq!(csv("a,b\r\n1,2", columns(), &[(0, 0)], &[1]), "a,b\r\n7,2\r\n,\r\n");
        assert_eq!(csv("a,b", columns(), &[], &[0]), "a,b\n7,\n");
        assert_eq!(json("{\"a\":1}", columns(), &[], &[0]), "{\"a\":1}\n{\"a\":7}\n");
    }

    #[test]
    fn a_null_alone_in_the_last_record_stays_a_record() {
        assert_eq!(csv("a\n1\n2", vec![("a", numbers(&[None]))], &[(1, 0)], &[]), "a\n1\n\n");
    }

    #[test]
    fn new_rows_stand_before_blank_lines_at_the_end() {
        assert_eq!(
            json("\n{\"a\":1}\n\n \n", vec![("a", numbers(&[Some(2)]))], &[], &[0]),
            "\n{\"a\":1}\n{\"a\":2}\n\n \n"
        );
        assert_eq!(csv("a,b\n\n", vec![("a", numbers(&[Some(2)]))], &[], &[0]), "a,b\n2,\n\n");
    }

    #[test]
    fn an_object_keeps_its_order_spaces_and_other_tokens() {
        let text = "{ \"id\" : 1.0, \"x\": [1,  2], \"n\" : 1e3 }\r\n{}\n{\"n\":0,\"n\":1}";
        let columns = || vec![("n", numbers(&[Some(5), None])), ("x", strings(&[None, None]))];
        let columns = || columns().into_iter().take(1).collect::<Vec<_>>();
        let expected = "{ \"id\" : 1.0, \"x\": [1,  2], \"n\" : 5.0 }\r\n{\"n\":5.0}\n{\"n\":0,\"n\":null}";
        assert_eq!(json(text, columns(), &[(0, 0), (1, 0), (2, 1)], &[]), expected);
    }

    #[test]
    fn keys_that_an_object_lacks_come_last_unless_null() {
        let text = "{\"a\":1}\n{\"b\":2 }\n{\"a\":3,\"b\":4}\n";
        let columns = vec![("b", numbers(&[Some(9), None])), ("a", numbers(&[Some(8), Some(7)]))];
        let expected = "{\"a\":8,\"b\":9}\n{\"b\":null,\"a\":7 }\n{\"a\":3,\"b\":4}\n{\"a\":8,\"b\":9}\n";
        assert_eq!(json(text, columns, &[(0, 0), (1, 1)], &[0]), expected);
    }

    #[test]
    fn a_file_of_no_objects_takes_the_incoming_columns() {
        let columns = vec![("b", numbers(&[Some(1)])), ("a", strings(&[None]))];
        assert_eq!(json("", columns.clone(), &[], &[0]), "{\"b\":1,\"a\":null}\n");
        assert_eq!(json("\u{feff}\n", columns, &[], &[0]), "\u{feff}{\"b\":1,\"a\":null}\n\n");
    }

    #[test]
    fn a_value_that_reads_as_null_is_quoted_when_it_is_written() {
        let options = CsvOptions::default().with_null_values(["NA"]).with_delimiter(b';').with_header(false);
        let columns = vec![("column_2", strings(&[Some("NA"), Some("a;b"), Some(""), None]))];
        let replaced = [(0, 0), (1, 1), (2, 2), (3, 3)];
        let text = rewritten("a.csv", &options, "1;x\n2;x\n3;x\n4;x\n", columns, &replaced, &[]);
        assert_eq!(text, "1;\"NA\"\n2;\"a;b\"\n3;\"\"\n4;\n");
    }

    #[test]
    fn a_large_file_is_copied_whole_around_a_change() {
        let line = |i: usize| format!("{i},{}\n", "x".repeat(100));
        let text: String = std::iter::once("id,x\n".to_owned()).chain((0..100_000).map(line)).collect();
        let columns = vec![("id", strings(&[Some("new")]))];
        let expected = text.replacen("\n90000,", "\nnew,", 1);
        assert!(csv(&text, columns, &[(90_000, 0)], &[]) == expected);
    }
}
