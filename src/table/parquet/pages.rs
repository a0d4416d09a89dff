//! Encoded pages on their way into a file: in memory up to a limit, beyond it in a temporary file. A row group is written when all
//! of its columns are done, and what it comes to then no footer tells in advance.

use std::fs::File;
use std::io;
use std::mem::replace;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use parquet::arrow::arrow_writer::{PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use parquet::errors::{ParquetError, Result};

use crate::error::Error;

/// Bytes of pages that the columns of one file hold in memory together.
pub(super) const PAGE_BYTES: usize = 64 << 20;

/// Shares the memory among the columns of a file.
#[derive(Debug)]
pub(super) struct Pages {
    most: usize,
    held: Arc<AtomicUsize>,
}

impl Pages {
    /// So many bytes are held in memory.
    pub(super) fn new(most: usize) -> Self {
        Self { most, held: Arc::default() }
    }

    /// For the columns of one row group: what is on disk goes with the last of them.
    pub(super) fn of_group(&self) -> GroupPages {
        GroupPages { most: self.most, held: Arc::clone(&self.held), disk: Arc::default() }
    }
}

/// The same for one row group.
#[derive(Debug)]
pub(super) struct GroupPages {
    most: usize,
    /// Bytes that all columns of the file hold.
    held: Arc<AtomicUsize>,
    disk: Arc<Mutex<Disk>>,
}

/// A file without a name, once it is needed.
#[derive(Debug, Default)]
struct Disk {
    file: Option<File>,
    end: u64,
}

impl Disk {
    fn file(&mut self) -> io::Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        Ok(self.file.insert(file))
    }

    /// Writes a page; gives its place.
    fn put(&mut self, page: &[u8]) -> io::Result<u64> {
        let start = self.end;
        self.file()?.write_all_at(page, start)?;
        self.end += page.len() as u64;
        Ok(start)
    }

    fn take(&mut self, start: u64, len: usize) -> io::Result<Bytes> {
        let mut page = vec![0; len];
        self.file()?.read_exact_at(&mut page, start)?;
        Ok(page.into())
    }
}

impl PageStoreFactory for GroupPages {
    fn create(&self, _: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        Ok(Box::new(self.column()))
    }
}

impl GroupPages {
    fn column(&self) -> ColumnPages {
        let (held, disk) = (Arc::clone(&self.held), Arc::clone(&self.disk));
        ColumnPages { most: self.most, held, disk, pages: Vec::new() }
    }
}

/// The pages of one column.
struct ColumnPages {
    most: usize,
    held: Arc<AtomicUsize>,
    disk: Arc<Mutex<Disk>>,
    pages: Vec<Page>,
}

enum Page {
    Held(Bytes),
    OnDisk { start: u64, len: usize },
    Taken,
}

/// An error of the disk, told as one: the target has no part in it.
fn unkept(cause: io::Error) -> ParquetError {
    let error = Error::io("cannot keep encoded pages in a temporary file", cause)
        .with("folder", std::env::temp_dir().display())
        .hint("set TMPDIR to a folder that can be written and has room");
    ParquetError::External(Box::new(error))
}

impl ColumnPages {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PageStore for ColumnPages {
    fn put(&mut self, page: Bytes) -> Result<PageKey> {
        let key = PageKey::new(self.pages.len() as u64);
        let len = page.len();
        if self.held.fetch_add(len, Ordering::Relaxed) + len <= self.most {
            self.pages.push(Page::Held(page));
            return Ok(key);
        }
        self.held.fetch_sub(len, Ordering::Relaxed);
        let start = self.disk().put(&page).map_err(unkept)?;
        self.pages.push(Page::OnDisk { start, len });
        Ok(key)
    }

    fn take(&mut self, key: PageKey) -> Result<Bytes> {
        let missing = || ParquetError::General("a page is not where it was put".to_owned());
        let page = usize::try_from(key.get()).ok().and_then(|place| self.pages.get_mut(place));
        match replace(page.ok_or_else(missing)?, Page::Taken) {
            Page::Held(page) => {
                self.held.fetch_sub(page.len(), Ordering::Relaxed);
                Ok(page)
            }
            Page::OnDisk { start, len } => self.disk().take(start, len).map_err(unkept),
            Page::Taken => Err(missing()),
        }
    }

    fn memory_size(&self) -> usize {
        self.pages.iter().map(Page::held).sum()
    }
}

impl Page {
    fn held(&self) -> usize {
        if let Self::Held(page) = self { page.len() } else { 0 }
    }
}

impl Drop for ColumnPages {
    fn drop(&mut self) {
        self.held.fetch_sub(self.memory_size(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use arrow::compute::concat_batches;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
    use parquet::arrow::arrow_writer::ArrowWriterOptions;
    use parquet::file::properties::WriterProperties;

    use super::*;

    #[test]
    fn pages_beyond_the_limit_are_on_disk_and_come_back_as_they_were() {
        let pages = Pages::new(100);
        let (group, held) = (pages.of_group(), Arc::clone(&pages.held));
        let (mut first, mut second) = (group.column(), group.column());
        let page = |byte: u8| Bytes::from(vec![byte; 40]);
        let keys: Vec<PageKey> = (0..4).map(|n| first.put(page(n)).expect("put")).collect();
        let other = second.put(page(9)).expect("put");
        assert_eq!((first.memory_size(), second.memory_size(), held.load(Ordering::Relaxed)), (80, 0, 80));
        for (key, byte) in keys.iter().zip(0_u8..4).rev() {
            assert_eq!(first.take(*key).expect("taken"), page(byte));
        }
        assert!(first.take(keys[0]).is_err(), "it is taken once");
        assert_eq!((second.take(other).expect("taken"), held.load(Ordering::Relaxed)), (page(9), 0));
        second.put(page(1)).expect("put");
        drop(second);
        assert_eq!(held.load(Ordering::Relaxed), 0, "what is not taken is given back");
    }

    #[test]
    fn a_file_is_whole_whose_pages_went_to_disk() {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20_000));
        let texts = (0..20_000).map(|n| format!("text {}", n % 7_000));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        let rows = RecordBatch::try_from_iter([("id", ids), ("text", texts)]).expect("rows");
        let file = tempfile::tempfile().expect("a file");
        let properties = WriterProperties::builder().set_data_page_row_count_limit(100).build();
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_page_store_factory(Arc::new(Pages::new(5_000).of_group()));
        let out = file.try_clone().expect("a file");
        let mut writer = ArrowWriter::try_new_with_options(out, rows.schema(), options).expect("a writer");
        writer.write(&rows).expect("written");
        writer.close().expect("closed");
        let reader = ParquetRecordBatchReader::try_new(file, 1_000).expect("a reader");
        let read: Vec<RecordBatch> = reader.map(|batch| batch.expect("rows")).collect();
        assert_eq!(concat_batches(&rows.schema(), &read).expect("one batch"), rows);
    }
}
