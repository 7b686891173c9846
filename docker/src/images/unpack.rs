//! How is an image archive compressed, and what is in it without that?
//!
//! nixpkgs' `dockerTools` compresses with gzip, zstd or not at all. Engines before 23 do not know zstd: what is compressed with
//! it is sent to every Engine unpacked.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom},
    path::Path,
};

use flate2::read::GzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::archive::ArchiveError;

/// How an archive is compressed, as far as it is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    Plain,
    /// gzip
    Gzip,
    /// Zstandard
    Zstd,
}

impl Compression {
    /// Tells it by the first bytes of an opened archive, which is at its beginning again afterwards.
    pub(crate) fn of(file: &mut File) -> Result<Self, ArchiveError> {
        let mut start = Vec::new();
        file.by_ref().take(6).read_to_end(&mut start).map_err(ArchiveError::Read)?;
        file.seek(SeekFrom::Start(0)).map_err(ArchiveError::Read)?;
        let starts = |magic: &[u8]| start.starts_with(magic);
        if starts(b"BZh") {
            return Err(ArchiveError::Compression("bzip2"));
        }
        if starts(b"\xfd7zXZ") {
            return Err(ArchiveError::Compression("xz"));
        }
        Ok(match () {
            () if starts(b"\x1f\x8b") => Self::Gzip,
            () if starts(b"\x28\xb5\x2f\xfd") => Self::Zstd,
            () => Self::Plain,
        })
    }
}

/// Opens an archive and takes the compression away.
///
/// # Errors
/// It cannot be read, or is compressed in another way.
pub(crate) fn unpacked(path: &Path) -> Result<Box<dyn Read>, ArchiveError> {
    let mut file = File::open(path).map_err(ArchiveError::Read)?;
    if !file.metadata().map_err(ArchiveError::Read)?.is_file() {
        return Err(ArchiveError::Read(io::Error::other("it is not a regular file")));
    }
    let compression = Compression::of(&mut file)?;
    let file = BufReader::with_capacity(1 << 16, file);
    Ok(match compression {
        Compression::Plain => Box::new(file),
        Compression::Gzip => Box::new(GzDecoder::new(file)),
        Compression::Zstd => Box::new(Frames { current: Some(frame(file).map_err(ArchiveError::Damaged)?) }),
    })
}

type Frame<R> = StreamingDecoder<R, FrameDecoder>;

fn frame<R: Read>(source: R) -> io::Result<Frame<R>> {
    StreamingDecoder::new(source).map_err(io::Error::other)
}

/// Zstandard: one frame after the other, each with its checksum where it has one.
struct Frames<R: Read> {
    current: Option<Frame<R>>,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut current) = self.current.take() {
            let length = current.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                self.current = Some(current);
                return Ok(length);
            }
            let (mut rest, decoder) = current.into_parts();
            let told = decoder.get_checksum_from_data();
            if told.is_some() && told != decoder.get_calculated_checksum() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is another one"));
            }
            if !rest.fill_buf()?.is_empty() {
                self.current = Some(frame(rest)?);
            }
        }
        Ok(0)
    }
}
