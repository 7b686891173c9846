//! An image archive of a test's own: how does one come about without a registry or a build?

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::json;

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
        digest(&self.put("config", &self.config))
    }

    /// The only layer, not compressed.
    pub fn layer(&self) -> PathBuf {
        self.folder.join("layer/layer.tar")
    }

    /// An archive as `dockerTools.buildImage` makes it: sorted by name, compressed as the name of `to` says.
    ///
    /// # Panics
    /// It cannot be packed.
    pub fn archive(&self, tag: &str, to: &Path) {
        let config = format!("{}.json", self.id());
        let manifest = json!([{ "Config": config, "RepoTags": [tag], "Layers": ["layer/layer.tar"] }]);
        self.put(&config, &self.config);
        self.put("manifest.json", &manifest.to_string());
        self.pack(to, &[&config, "layer", "manifest.json"]);
    }

    /// An archive as the OCI image layout has it.
    ///
    /// # Panics
    /// It cannot be packed.
    pub fn layout(&self, tag: &str, to: &Path) {
        let blob = |file: &Path, kind: &str| {
            let digest = digest(file);
            let place = self.folder.join("blobs/sha256").join(&digest);
            fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
            fs::copy(file, &place).expect("copied");
            let size = fs::metadata(&place).expect("there").len();
            let kind = format!("application/vnd.oci.image.{kind}");
            json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": size })
        };
        let config = blob(&self.put("config", &self.config), "config.v1+json");
        let layer = blob(&self.layer(), "layer.v1.tar");
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": [layer],
        });
        let mut descriptor = blob(&self.put("manifest", &manifest.to_string()), "manifest.v1+json");
        descriptor["annotations"] = json!({ "io.containerd.image.name": format!("docker.io/library/{tag}") });
        self.put("index.json", &json!({ "schemaVersion": 2, "manifests": [descriptor] }).to_string());
        self.put("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        self.pack(to, &["blobs", "index.json", "oci-layout"]);
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.join(name);
        fs::write(&file, text).expect("written");
        file
    }

    fn pack(&self, to: &Path, names: &[&str]) {
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        let end = to.extension().and_then(|end| end.to_str());
        let how = if end == Some("gz") { "-czf" } else { "-cf" };
        let packed = Command::new("tar")
            .arg("-C")
            .arg(&self.folder)
            .args(["--sort=name", how])
            .arg(to)
            .args(names)
            .status();
        assert!(packed.expect("tar").success(), "the image cannot be packed");
        if end == Some("zst") {
            let plain = fs::read(to).expect("packed");
            fs::write(to, compress_to_vec(&plain[..], CompressionLevel::Fastest)).expect("packed");
        }
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
