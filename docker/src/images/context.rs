//! What is in a build's context, and has it changed?
//!
//! A folder without what its ignore file leaves out. It is walked twice at most: for its digest, and when it is sent.

use std::{
    fs,
    io::{self, BufWriter, Read as _, Write},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use plan::build::{Build, Folder};
use sha2::{Digest as _, Sha256};
use specs::Text;
use tokio::sync::mpsc;

use super::ignore::Ignore;

/// More files than anybody builds from on purpose.
const MOST_FILES: usize = 50_000;
/// More bytes, too.
const MOST_BYTES: u64 = 4 << 30;
/// The largest ignore file or Dockerfile, in bytes.
const MAX_TEXT: u64 = 1 << 20;

/// One entry that is sent.
#[derive(Debug)]
pub struct Entry {
    /// Relative to the folder, with `/` between its parts.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What the file system says of it, links not followed.
    pub meta: fs::Metadata,
}

/// Every entry of a folder that is not left out, in the order of their names.
///
/// # Errors
/// It cannot be read, is too large, or its ignore file cannot be understood.
pub fn entries(folder: &Folder) -> io::Result<Vec<Entry>> {
    let ignore = Ignore::parse(&folder.ignore);
    let ignore = ignore.map_err(|error| {
        io::Error::other(format!("the ignore file of {}: {error}", folder.path.display()))
    })?;
    let mut walk = Walk { ignore, entries: Vec::new(), bytes: 0 };
    walk.folder(&folder.path, "")?;
    Ok(walk.entries)
}

struct Walk {
    ignore: Ignore,
    entries: Vec<Entry>,
    bytes: u64,
}

impl Walk {
    fn folder(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .map_err(|error| at(folder, &error))?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<_>>()?;
        names.sort();
        for file in names {
            let path = folder.join(&file);
            let name = format!("{prefix}{}", file.to_string_lossy());
            let meta = fs::symlink_metadata(&path).map_err(|error| at(&path, &error))?;
            let left_out = self.ignore.leaves_out(&name);
            let kind = meta.file_type();
            if !(kind.is_dir() || kind.is_file() || kind.is_symlink()) {
                // Sockets and pipes cannot be copied into an image.
                continue;
            }
            if !left_out {
                self.bytes += if kind.is_file() { meta.len() } else { 0 };
                if self.entries.len() >= MOST_FILES || self.bytes > MOST_BYTES {
                    let what = format!(
                        "more than {MOST_FILES} files or {} GiB; leave things out in .dockerignore",
                        MOST_BYTES >> 30
                    );
                    return Err(io::Error::other(what));
                }
                self.entries.push(Entry { name: name.clone(), path: path.clone(), meta });
            }
            if kind.is_dir() && (!left_out || self.ignore.may_bring_back()) {
                self.folder(&path, &format!("{name}/"))?;
            }
        }
        Ok(())
    }
}

/// A digest over names, modes, links and contents.
///
/// # Errors
/// Something cannot be read.
pub fn digest(entries: &[Entry]) -> io::Result<[u8; 32]> {
    let mut all = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    for entry in entries {
        let kind = entry.meta.file_type();
        all.update(format!("{}\0{:o}\0", entry.name, entry.meta.permissions().mode()));
        if kind.is_symlink() {
            all.update(fs::read_link(&entry.path)?.as_os_str().as_encoded_bytes());
        } else if kind.is_file() {
            let mut file = fs::File::open(&entry.path).map_err(|error| at(&entry.path, &error))?;
            let mut content = Sha256::new();
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    read => content.update(&buffer[..read]),
                }
            }
            all.update(content.finalize());
        }
    }
    Ok(all.finalize().into())
}

/// Writes folders and further files as one tar archive.
///
/// # Errors
/// Something cannot be read, or nobody takes it any more.
pub fn send(folders: &[Folder], files: &[(String, Text)], to: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    archive.follow_symlinks(false);
    for folder in folders {
        for entry in entries(folder)? {
            let name = if folder.below.is_empty() {
                entry.name.clone()
            } else {
                format!("{}/{}", folder.below, entry.name)
            };
            let mut header = tar::Header::new_gnu();
            header.set_metadata(&entry.meta);
            // As Docker does: who owned it here means nothing there.
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(u64::try_from(entry.meta.mtime()).unwrap_or(0));
            if entry.meta.file_type().is_symlink() {
                header.set_size(0);
                archive.append_link(&mut header, &name, fs::read_link(&entry.path)?)?;
            } else if entry.meta.is_dir() {
                header.set_size(0);
                archive.append_data(&mut header, &name, io::empty())?;
            } else {
                let file = fs::File::open(&entry.path).map_err(|error| at(&entry.path, &error))?;
                archive.append_data(&mut header, &name, file.take(entry.meta.len()))?;
            }
        }
    }
    for (name, text) in files {
        let text = text.expose();
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, text.as_bytes())?;
    }
    archive.into_inner()?.flush()
}

/// The same, as it is read: pieces of the archive, or why it ends early.
pub(crate) fn stream(build: Arc<Build>) -> impl Stream<Item = io::Result<Bytes>> {
    pieces(move |to| send(&build.folders, &build.files, to))
}

/// What `write` writes, piece by piece while it is taken, or why it ends early.
pub(crate) fn pieces(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> {
    let (pieces, taken) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let mut to = BufWriter::with_capacity(1 << 16, Pieces(pieces.clone()));
        if let Err(error) = write(&mut to).and_then(|()| to.flush()) {
            // Nobody listens any more where the Engine has given up: it says why itself.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    stream::unfold(taken, |mut taken| async move { taken.recv().await.map(|piece| (piece, taken)) })
}

/// What is written becomes pieces.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text of a small file; `None` where there is none.
///
/// # Errors
/// It cannot be read, is too large or no text.
pub fn text(path: &Path) -> io::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path, &error)),
    };
    let mut text = String::new();
    file.take(MAX_TEXT + 1).read_to_string(&mut text).map_err(|error| at(path, &error))?;
    if text.len() as u64 > MAX_TEXT {
        return Err(at(path, &io::Error::other("it is larger than 1 MiB")));
    }
    Ok(Some(text))
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("src/deep")).expect("made");
        for name in ["a", "src/b", "src/deep/c", "notes.md"] {
            fs::write(at(name), name).expect("written");
        }
        std::os::unix::fs::symlink("a", at("link")).expect("linked");
        folder
    }

    fn look(path: &Path, ignore: &str) -> (Vec<String>, [u8; 32]) {
        let folder = Folder { path: path.to_owned(), below: String::new(), ignore: ignore.to_owned() };
        let entries = entries(&folder).expect("read");
        let digest = digest(&entries).expect("read");
        (entries.into_iter().map(|entry| entry.name).collect(), digest)
    }

    #[test]
    fn only_what_is_sent_counts() {
        let folder = folder();
        let ignore = "*.md\nsrc\n!src/deep\n";
        let (names, digest) = look(folder.path(), ignore);
        assert_eq!(names, ["a", "link", "src/deep", "src/deep/c"]);
        fs::write(folder.path().join("notes.md"), "changed").expect("written");
        assert_eq!(look(folder.path(), ignore).1, digest);
        fs::write(folder.path().join("a"), "changed").expect("written");
        assert_ne!(look(folder.path(), ignore).1, digest);
    }

    #[test]
    fn what_is_sent_is_a_tar_archive_of_it() {
        let folder = folder();
        let folders = [
            Folder { path: folder.path().to_owned(), below: String::new(), ignore: "src".into() },
            Folder { path: folder.path().join("src"), below: ".more".into(), ignore: String::new() },
        ];
        let mut bytes = Vec::new();
        send(&folders, &[("Dockerfile".into(), Text::plain("FROM scratch\n"))], &mut bytes).expect("sent");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names: Vec<String> = archive
            .entries()
            .expect("an archive")
            .map(|entry| entry.expect("an entry").path().expect("a name").display().to_string())
            .collect();
        assert_eq!(names, ["a", "link", "notes.md", ".more/b", ".more/deep", ".more/deep/c", "Dockerfile"]);
    }
}
