//! The plain text of a file: what is compressed is decompressed, and a JSON array laid out as one object a line. That
//! goes to a temporary file without a name, because text is read twice, for its types and for its rows.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

use super::array;
use super::window::Pass;
use crate::client::file::{Content, DataFile};
use crate::client::session::Session;
use crate::core::format::{Format, unchangeable};
use crate::core::location::Location;
use crate::core::text_codec::TextCodec;
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are copied at a time.
const PIECE: usize = 256 << 10;

/// Of a compressed file more is looked at: Zstandard gives nothing before a block is whole.
const COMPRESSED_HEAD: usize = 256 << 10;

/// The content of `file` as plain text: records of CSV, or lines of objects.
///
/// # Errors
///
/// `NotFound`, `Io`; `InvalidData` for compressed data that is cut off or damaged, and for what is not an array.
pub(super) fn plain(session: &Session, file: &DataFile, format: Format) -> Result<File> {
    let location = file.location();
    let stored = file.read()?.into_file()?;
    let codec = codec_of(&stored, location)?;
    if codec == TextCodec::None && format != Format::Json {
        return Ok(stored);
    }
    let source = Watched { pass: Pass::start(session, &Arc::new(stored)), session };
    let source = BufReader::with_capacity(PIECE, source);
    let unreadable = |cause| unreadable(cause, codec).with_missing("file", location);
    let input = decoder(source, codec).map_err(unreadable)?;
    let mut out = BufWriter::with_capacity(PIECE, temporary()?);
    let copied = if format == Format::Json {
        array::to_lines(BufReader::with_capacity(PIECE, input), &mut out, unreadable, unwritable)
    } else {
        copy(input, &mut out, unreadable)
    };
    copied.map_err(|error| error.with_missing("file", location))?;
    out.into_inner().map_err(|cause| unwritable(cause.into_error()))
}

/// At most `len` bytes of text at the start of a file, and how the file is compressed.
///
/// # Errors
///
/// As [`Content::head`].
pub(crate) fn head(content: &Content, len: usize) -> Result<(TextCodec, Bytes)> {
    let raw = content.head(len)?;
    let codec = TextCodec::from_content(&raw);
    if codec == TextCodec::None {
        return Ok((codec, raw));
    }
    let mut text = Vec::new();
    let cut = content.head(COMPRESSED_HEAD)?;
    // What is at hand ends in the middle, so that the decoder fails there.
    if let Ok(decoder) = decoder(&cut[..], codec) {
        drop(decoder.take(len as u64).read_to_end(&mut text));
    }
    Ok((codec, text.into()))
}

/// Refuses a text file that is compressed: its records cannot be changed in their places.
///
/// # Errors
///
/// `Unsupported`.
pub(crate) fn check_plain(file: &File, location: &Location) -> Result<()> {
    match codec_of(file, location)? {
        TextCodec::None => Ok(()),
        codec => Err(unchangeable().with("file", location).with("compression", codec)),
    }
}

/// How a file is compressed: that is what its first bytes say, and a name must not say anything else.
fn codec_of(file: &File, location: &Location) -> Result<TextCodec> {
    let mut magic = [0; TextCodec::MAGIC];
    let read = file.read_at(&mut magic, 0).map_err(|cause| Error::io("cannot read the file", cause))?;
    let found = TextCodec::from_content(&magic[..read]);
    let named = TextCodec::from_name(&location.name());
    if named != TextCodec::None && named != found {
        return Err(Error::new(ErrorKind::InvalidData, "the file is not compressed as its name says")
            .with("file", location)
            .with("name", named)
            .with("content", found)
            .hint("it may be damaged; if it is whole, give it the extension of what it is"));
    }
    Ok(found)
}

fn decoder<'a>(source: impl BufRead + 'a, codec: TextCodec) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match codec {
        TextCodec::None => Box::new(source),
        TextCodec::Gzip(_) => Box::new(MultiGzDecoder::new(source)),
        TextCodec::Zstd(_) => Box::new(zstd::Decoder::with_buffer(source)?),
    })
}

fn copy(mut input: impl Read, out: &mut impl Write, failed: impl Fn(io::Error) -> Error) -> Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = input.read(&mut piece).map_err(&failed)?;
        if read == 0 {
            return Ok(());
        }
        out.write_all(&piece[..read]).map_err(unwritable)?;
    }
}

fn temporary() -> Result<File> {
    tempfile::tempfile().map_err(|cause| {
        Error::io("cannot make a temporary file", cause)
            .with("folder", std::env::temp_dir().display())
            .hint("set TMPDIR to a folder that can be written")
    })
}

fn unwritable(cause: io::Error) -> Error {
    Error::io("cannot write a temporary file", cause)
        .with("folder", std::env::temp_dir().display())
        .hint("set TMPDIR to a folder on a disk with more room")
}

/// Our own error that came through a decoder, a failure of the disk, or damage.
fn unreadable(cause: io::Error, codec: TextCodec) -> Error {
    let cause = match cause.downcast::<Error>() {
        Ok(error) => return error,
        Err(cause) => cause,
    };
    if cause.raw_os_error().is_some() || codec == TextCodec::None {
        return Error::io("cannot read the file", cause);
    }
    if cause.to_string().contains("too much memory") {
        return Error::new(
            ErrorKind::Unsupported,
            "the file was compressed with a larger window than is taken",
        )
        .with("compression", codec)
        .hint("compress it again without --long or --ultra, so that 128 MiB of memory are enough");
    }
    Error::new(ErrorKind::InvalidData, "the file cannot be decompressed")
        .with("compression", codec)
        .hint("it is cut off or damaged; restore it, or fetch it again")
        .because(cause)
}

/// A file that is the work at hand of a session: reading it can be cancelled, and shows.
struct Watched<'a> {
    pass: Pass,
    session: &'a Session,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.session.check().map_err(io::Error::other)?;
        let read = self.pass.read(buffer)?;
        self.session.progress().advance(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(text).expect("written");
        out.finish().expect("finished")
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        let mut out = zstd::Encoder::new(Vec::new(), 3).expect("an encoder");
        out.include_checksum(true).expect("a checksum");
        out.write_all(text).expect("written");
        out.finish().expect("finished")
    }

    fn read(name: &str, bytes: &[u8], session: &Session) -> Result<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        let file = session.open(&Location::from(path.as_path())).expect("opens");
        let format = Format::from_name(name).expect("a format");
        let mut text = String::new();
        let plain = Arc::new(plain(session, &file, format)?);
        Pass::start(session, &plain).read_to_string(&mut text).expect("text");
        Ok(text)
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        let session = Session::default();
        let both = |pack: fn(&[u8]) -> Vec<u8>| [pack(b"a\n1\n"), pack(b""), pack(b"2\n")].concat();
        assert_eq!(read("a.csv.gz", &both(gzip), &session).expect("reads"), "a\n1\n2\n");
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7][..], &both(zstd)].concat();
        assert_eq!(read("a.csv.zst", &skipped, &session).expect("reads"), "a\n1\n2\n");
        assert_eq!(read("a.json.gz", &gzip(b"[{},\n{}]"), &session).expect("reads"), "{}\n{}\n");
        // The content tells, where the name does not.
        assert_eq!(read("a.csv", &gzip(b"a\n"), &session).expect("reads"), "a\n");
        assert_eq!(read("a.csv", b"a\n", &session).expect("reads"), "a\n");
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_said_of_the_file() {
        let session = Session::default();
        let text: Vec<u8> =
            (0..5_000_u32).flat_map(|i| format!("{},", i.wrapping_mul(i)).into_bytes()).collect();
        for (name, whole) in
            [("a.csv.gz", gzip(&text)), ("a.csv.zst", zstd(&text)), ("a.json.gz", gzip(&text))]
        {
            for keep in [TextCodec::MAGIC, whole.len() / 2, whole.len() - 1] {
                let error = read(name, &whole[..keep], &session).expect_err("cut off");
                assert_eq!(error.kind(), ErrorKind::InvalidData, "{name} {keep}: {error:?}");
                assert!(
                    error.context().any(|(fact, file)| fact == "file" && file.ends_with(name)),
                    "{error}"
                );
            }
            let mut damaged = whole.clone();
            damaged[whole.len() / 2] ^= 0x55;
            let read = read(name, &damaged, &session).map(drop).map_err(|error| error.kind());
            assert_eq!(read, Err(ErrorKind::InvalidData), "{name}");
        }
    }

    #[test]
    fn a_name_that_says_another_codec_is_refused() {
        let session = Session::default();
        for (name, bytes) in
            [("a.csv.gz", b"a\n1\n".to_vec()), ("a.csv.gz", zstd(b"a\n")), ("a.csv.zst", Vec::new())]
        {
            let error = read(name, &bytes, &session).expect_err("not what it says");
            assert_eq!(error.message(), "the file is not compressed as its name says");
        }
    }

    #[test]
    fn decompressing_can_be_cancelled() {
        let session = Session::default();
        session.cancel();
        for name in ["a.csv.gz", "a.json.gz"] {
            let error = read(name, &gzip(b"[]"), &session).expect_err("cancelled");
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{name}");
        }
    }

    #[test]
    fn the_head_of_a_compressed_file_is_that_of_its_text() {
        let folder = tempfile::tempdir().expect("a folder");
        for (pack, codec) in
            [(gzip as fn(&[u8]) -> Vec<u8>, "gzip"), (zstd, "zstd"), (<[u8]>::to_vec, "none")]
        {
            let path = folder.path().join(codec);
            std::fs::write(&path, pack(&b"{\"a\":1}\n".repeat(1_000))).expect("written");
            let content = Content::Local(File::open(&path).expect("opens"));
            let (found, text) = head(&content, 8).expect("reads");
            assert_eq!((found.to_string().as_str(), &text[..]), (codec, &b"{\"a\":1}\n"[..]));
        }
    }
}
