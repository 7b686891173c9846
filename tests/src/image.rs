//! An image archive of a test's own: how does one come about without a registry or a build?

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::Engine;

/// The stand-in as an image, in parts.
#[derive(Debug)]
pub struct Image {
    folder: PathBuf,
    /// The configuration, whose digest is the image's id.
    pub config: String,
}

impl Image {
    /// The stand-in with a label that tells it from others.
    ///
    /// # Panics
    /// It cannot be packed.
    pub fn new(engine: &Engine, label: &str) -> Self {
        let folder = engine.folder().join("images").join(label);
        fs::create_dir_all(folder.join("layer")).expect("a folder");
        fs::copy(engine.folder().join("root.tar"), folder.join("layer/layer.tar")).expect("copied");
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:01Z",
            "config": { "Entrypoint": ["/bin/standin"], "Env": ["PATH=/bin"], "Labels": { "test": label } },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", digest(&folder.join("layer/layer.tar")))] },
        });
        Self { folder, config: config.to_string() }
    }

    /// The image's id without `sha256:`.
    pub fn id(&self) -> String {
        let file = self.folder.join("config");
        fs::write(&file, &self.config).expect("written");
        digest(&file)
    }

    /// The only layer, not compressed.
    pub fn layer(&self) -> PathBuf {
        self.folder.join("layer/layer.tar")
    }

    /// An archive as `dockerTools.buildImage` makes it: sorted by name, gzip where `to` says so.
    ///
    /// # Panics
    /// It cannot be packed.
    pub fn archive(&self, tag: &str, to: &Path) {
        let config = format!("{}.json", self.id());
        let manifest: Value = json!([{ "Config": config, "RepoTags": [tag], "Layers": ["layer/layer.tar"] }]);
        fs::write(self.folder.join(&config), &self.config).expect("written");
        fs::write(self.folder.join("manifest.json"), manifest.to_string()).expect("written");
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        let compressed = to.extension().is_some_and(|end| end == "gz");
        let packed = Command::new("tar")
            .arg("-C")
            .arg(&self.folder)
            .args(["--sort=name", if compressed { "-czf" } else { "-cf" }])
            .arg(to)
            .args([&config, "layer", "manifest.json"])
            .status();
        assert!(packed.expect("tar").success(), "the image cannot be packed");
    }
}

/// The sha256 of a file.
///
/// # Panics
/// It cannot be read.
pub fn digest(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).stderr(Stdio::inherit()).output().expect("sha256sum");
    String::from_utf8_lossy(&output.stdout).chars().take(64).collect()
}
