//! Which images are in an archive, told without loading it?
//!
//! Archives as `docker save` and nixpkgs' `dockerTools.buildImage` make them, plain, gzip or zstd: `manifest.json` names the
//! tags of each image and its configuration, whose digest is the image's id. An OCI layout (`index.json`) is told, too.
//! The whole archive is gone through, with bounds, so that one that was cut off is found before the Engine has half of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    path::Path,
};

use plan::desired::ArchivedImage;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::unpack::unpacked;

/// The largest manifest or configuration, in bytes.
const MAX_DOCUMENT: u64 = 4 << 20;
/// More entries than any image has.
const MAX_ENTRIES: usize = 100_000;
/// The most bytes of documents that are held at a time.
const MAX_HELD: usize = 16 << 20;
/// More than any image unpacks to.
const MAX_UNPACKED: u64 = 256 << 30;

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// It is compressed in a way that is not read here.
    #[error("it is compressed with {0}, expected a tar archive, plain, gzip or zstd")]
    Compression(&'static str),
    /// It ends too early, or holds something else.
    #[error("it is damaged, or no tar archive")]
    Damaged(#[source] io::Error),
    /// It is larger than any image.
    #[error("it holds more than {0}")]
    TooLarge(String),
    /// It is a tar archive of something else.
    #[error("it is no image archive: neither manifest.json nor index.json is in it")]
    NoImage,
    /// Its parts do not fit.
    #[error("{document}: {what}")]
    Invalid {
        /// `manifest.json`
        document: String,
        /// What is wrong with it.
        what: String,
    },
    /// Nothing in it has a name.
    #[error("none of its images has a tag: nothing can name them")]
    NoTag,
}

/// Reads which images an archive holds.
///
/// # Errors
/// See [`ArchiveError`].
pub fn contents(path: &Path) -> Result<Vec<ArchivedImage>, ArchiveError> {
    let parts = Parts::read(unpacked(path)?.take(MAX_UNPACKED))?;
    let images = parts.images()?;
    if images.iter().all(|image| image.tags.is_empty()) { Err(ArchiveError::NoTag) } else { Ok(images) }
}

/// What was found while going through an archive.
#[derive(Debug, Default)]
struct Parts {
    names: BTreeSet<String>,
    /// Small files that may be manifests or configurations: content and digest.
    documents: BTreeMap<String, (Vec<u8>, String)>,
    held: usize,
}

impl Parts {
    fn read(source: impl Read) -> Result<Self, ArchiveError> {
        let mut parts = Self::default();
        let mut archive = tar::Archive::new(source);
        for entry in archive.entries().map_err(ArchiveError::Damaged)? {
            let mut entry = entry.map_err(ArchiveError::Damaged)?;
            let path = entry.path().map_err(ArchiveError::Damaged)?.to_string_lossy().into_owned();
            let name = path.trim_start_matches("./").trim_end_matches('/').to_owned();
            if parts.names.len() >= MAX_ENTRIES {
                return Err(ArchiveError::TooLarge(format!("{MAX_ENTRIES} entries")));
            }
            if is_document(&name) && entry.size() <= MAX_DOCUMENT {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(ArchiveError::Damaged)?;
                parts.keep(&name, bytes)?;
            }
            parts.names.insert(name);
        }
        // What comes after the last entry ends the compression: its checksum is in it.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(ArchiveError::Damaged)?;
        Ok(parts)
    }

    fn keep(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
        // A layer that is small enough to be a document need not be held.
        let kept = if bytes.starts_with(b"{") || bytes.starts_with(b"[") { bytes } else { Vec::new() };
        self.held += kept.len();
        if self.held > MAX_HELD {
            return Err(ArchiveError::TooLarge(format!("{} MiB of JSON", MAX_HELD >> 20)));
        }
        self.documents.insert(name.to_owned(), (kept, digest));
        Ok(())
    }

    fn images(&self) -> Result<Vec<ArchivedImage>, ArchiveError> {
        if self.names.contains("manifest.json") {
            let list = self.document("manifest.json")?;
            let list =
                list.as_array().ok_or_else(|| invalid("manifest.json", "expected a list of images"))?;
            return list.iter().map(|image| self.saved(image)).collect();
        }
        if self.names.contains("index.json") {
            let index = self.document("index.json")?;
            let manifests = index["manifests"].as_array();
            let manifests = manifests.ok_or_else(|| invalid("index.json", "expected a list `manifests`"))?;
            return manifests.iter().map(|manifest| self.laid_out(manifest)).collect();
        }
        Err(ArchiveError::NoImage)
    }

    fn document(&self, name: &str) -> Result<Value, ArchiveError> {
        let (bytes, _) = self.documents.get(name).ok_or_else(|| invalid(name, "it is larger than 4 MiB"))?;
        serde_json::from_slice(bytes).map_err(|error| invalid(name, &error.to_string()))
    }

    /// One image of `manifest.json`.
    fn saved(&self, image: &Value) -> Result<ArchivedImage, ArchiveError> {
        let config = image["Config"].as_str().unwrap_or_default();
        let (_, id) = self
            .documents
            .get(config)
            .ok_or_else(|| invalid("manifest.json", &format!("its configuration `{config}` is not there")))?;
        let layers = texts(&image["Layers"]);
        if let Some(lacking) = layers.iter().find(|layer| !self.names.contains(**layer)) {
            return Err(invalid("manifest.json", &format!("its layer `{lacking}` is not there")));
        }
        let tags = texts(&image["RepoTags"]).into_iter().map(str::to_owned).collect();
        Ok(ArchivedImage { ids: vec![id.as_str().into()], tags })
    }

    /// One image of an OCI layout: an Engine with the containerd store calls it by its manifest.
    fn laid_out(&self, descriptor: &Value) -> Result<ArchivedImage, ArchiveError> {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        let blob = format!("blobs/{}", digest.replacen(':', "/", 1));
        match self.documents.get(&blob) {
            Some((_, found)) if found == digest => {}
            Some(_) => return Err(invalid(&blob, "its content has another digest than its name")),
            None => return Err(invalid("index.json", &format!("its manifest `{blob}` is not there"))),
        }
        let manifest = self.document(&blob)?;
        let config = manifest["config"]["digest"].as_str().map(Into::into);
        let annotations = &descriptor["annotations"];
        let named = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
        let tag = named.iter().find_map(|key| annotations[*key].as_str());
        let ids = config.into_iter().chain([digest.into()]).collect();
        Ok(ArchivedImage { ids, tags: tag.map(str::to_owned).into_iter().collect() })
    }
}

fn is_document(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "json") || name.starts_with("blobs/sha256/")
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn invalid(document: &str, what: &str) -> ArchiveError {
    ArchiveError::Invalid { document: document.to_owned(), what: what.to_owned() }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    const CONFIG: &str = r#"{"architecture":"amd64","os":"linux"}"#;

    fn tar(files: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content.as_bytes()).expect("packed");
        }
        archive.into_inner().expect("packed")
    }

    fn look(bytes: &[u8]) -> Result<Vec<ArchivedImage>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image.tar");
        fs::write(&path, bytes).expect("written");
        contents(&path).map_err(|error| error.to_string())
    }

    fn saved() -> Vec<u8> {
        let layer = "x".repeat(70_000);
        let manifest = r#"[{"Config":"c.json","RepoTags":["web:abc"],"Layers":["l/layer.tar"]}]"#;
        tar(&[("c.json", CONFIG), ("l/layer.tar", &layer), ("manifest.json", manifest)])
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("packed");
        encoder.finish().expect("packed")
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn an_archive_tells_its_tags_and_ids_plain_and_compressed() {
        let id = format!("sha256:{}", hex(&Sha256::digest(CONFIG)));
        let expected = vec![ArchivedImage { ids: vec![id.as_str().into()], tags: vec!["web:abc".into()] }];
        assert_eq!(look(&saved()).as_ref(), Ok(&expected));
        assert_eq!(look(&gzip(&saved())).as_ref(), Ok(&expected));
        assert_eq!(look(&zstd(&saved())).as_ref(), Ok(&expected));
        let halves = saved().chunks(1000).map(zstd).collect::<Vec<_>>().concat();
        assert_eq!(look(&halves).as_ref(), Ok(&expected), "one frame after the other");
    }

    #[test]
    fn an_oci_layout_tells_its_manifest_and_its_configuration() {
        let manifest = format!(r#"{{"config":{{"digest":"sha256:{}"}}}}"#, "c".repeat(64));
        let digest = hex(&Sha256::digest(&manifest));
        let index = format!(
            r#"{{"manifests":[{{"digest":"sha256:{digest}","annotations":{{"io.containerd.image.name":"docker.io/library/web:1"}}}}]}}"#
        );
        let blob = format!("blobs/sha256/{digest}");
        let images = look(&tar(&[(&blob, &manifest), ("index.json", &index)])).expect("it is one");
        assert_eq!(images[0].tags, ["docker.io/library/web:1"]);
        assert_eq!(images[0].ids.len(), 2);
        let error = look(&tar(&[(&blob, "{}"), ("index.json", &index)])).expect_err("another content");
        assert!(error.contains("another digest"), "{error}");
    }

    #[test]
    fn what_is_cut_off_or_is_something_else_says_so() {
        let whole = saved();
        let packed = gzip(&whole);
        let zstd = zstd(&whole);
        let mut altered = zstd.clone();
        *altered.last_mut().expect("its checksum") ^= 1;
        let lacking = tar(&[("manifest.json", r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":[]}]"#)]);
        let unnamed = tar(&[
            ("c.json", CONFIG),
            ("manifest.json", r#"[{"Config":"c.json","RepoTags":null,"Layers":[]}]"#),
        ]);
        let cases: [(&[u8], &str); 13] = [
            (&whole[..whole.len() / 2], "damaged"),
            (&packed[..packed.len() / 2], "damaged"),
            (&packed[..packed.len() - 4], "damaged"),
            (b"#!/bin/sh\necho an archive that is a script", "damaged"),
            (b"\x28\xb5\x2f\xfd....", "damaged"),
            (&zstd[..zstd.len() / 2], "damaged"),
            (&zstd[..zstd.len() - 4], "damaged"),
            (&altered, "damaged"),
            (b"\xfd7zXZ\0....", "compressed with xz"),
            (&tar(&[("README", "x")]), "no image archive"),
            (&lacking, "configuration `c.json` is not there"),
            (&unnamed, "none of its images has a tag"),
            (&tar(&[("manifest.json", "[{")]), "manifest.json: "),
        ];
        for (bytes, words) in cases {
            let error = look(bytes).expect_err(words);
            assert!(error.contains(words), "{words}: {error}");
        }
        let error = contents(Path::new("/nonexistent/image.tar")).expect_err("nothing is there");
        assert!(matches!(error, ArchiveError::Read(_)));
    }
}
