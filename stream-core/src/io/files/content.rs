//! The content of a file: decompressed, without a byte order mark at its head. Offsets count in it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::input::PIECE_BYTES;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The content of a file that has been opened.
pub(super) enum Content {
    /// It can be sought in.
    Plain(File),
    /// What stands before a place must be read to get there.
    Stream(Box<dyn Read>),
}

impl Content {
    /// Opens a file, and gives its first bytes, too, without a byte order mark.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<u8>)> {
        let file = File::open(path)?;
        let packed = |file| BufReader::with_capacity(PIECE_BYTES, file);
        let mut content = match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Content::Stream(Box::new(MultiGzDecoder::new(packed(file)))),
            Some("zst") => Content::Stream(Box::new(zstd::stream::read::Decoder::new(file)?)),
            _ if file.metadata()?.is_file() => Content::Plain(file),
            _ => Content::Stream(Box::new(file)),
        };
        let mut first = Vec::with_capacity(BYTE_ORDER_MARK.len() + PIECE_BYTES);
        content.append(BYTE_ORDER_MARK.len(), &mut first)?;
        if first == BYTE_ORDER_MARK {
            first.clear();
        }
        Ok((content, first))
    }

    /// Reads so many bytes, or as many as there are.
    pub(super) fn append(&mut self, bytes: usize, to: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Content::Plain(file) => file.take(bytes as u64).read_to_end(to),
            Content::Stream(stream) => stream.take(bytes as u64).read_to_end(to),
        }
    }

    /// Reads so many bytes, and no fewer.
    pub(super) fn append_all(&mut self, bytes: usize, to: &mut Vec<u8>) -> io::Result<u64> {
        match self.append(bytes, to)? {
            read if read == bytes => Ok(read as u64),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Leaves out so many bytes, or as many as there are.
    pub(super) fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match self {
            Content::Plain(file) => file.seek(SeekFrom::Current(bytes as i64)).map(drop),
            Content::Stream(stream) => io::copy(&mut stream.take(bytes), &mut io::sink()).map(drop),
        }
    }
}
