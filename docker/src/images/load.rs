//! How is an image archive loaded?

use std::{fs::File, io, path::Path, time::Duration};

use hyper::Method;

use super::{lines, unpack::Compression};
use crate::{
    engine::Engine,
    wire::{Payload, WireError},
};

/// The Engine says nothing while it unpacks a layer.
const STALL: Duration = Duration::from_secs(600);

impl Engine {
    /// Loads an archive and gives the id of the image that `reference` means then.
    pub(crate) async fn load(
        &self,
        archive: &Path,
        reference: &str,
        deadline: Duration,
    ) -> Result<Option<String>, WireError> {
        let work = async {
            let payload = match compression(archive)? {
                Compression::Zstd => Payload::Unpacked(archive.to_owned()),
                Compression::Plain | Compression::Gzip => Payload::File(archive.to_owned()),
            };
            let answer = self.wire.open(Method::POST, "/images/load?quiet=1", payload, &[]).await?;
            lines::read(answer, STALL, |_| {}).await.map_err(explained)
        };
        tokio::time::timeout(deadline, work).await.unwrap_or(Err(WireError::TimedOut(deadline)))?;
        self.image_id(reference).await?.map(Some).ok_or_else(|| {
            let message = format!(
                "the Engine took the archive, and {reference} is not there: it does not load this form"
            );
            WireError::Refused { status: 500, message }
        })
    }

    /// What a reference means now.
    pub(crate) async fn image_id(&self, reference: &str) -> Result<Option<String>, WireError> {
        match self.wire.get(&format!("/images/{reference}/json")).await {
            Ok(image) => Ok(Some(image["Id"].as_str().unwrap_or_default().to_owned())),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn compression(archive: &Path) -> Result<Compression, WireError> {
    let failed = |source| WireError::File { path: archive.to_owned(), source };
    let mut file = File::open(archive).map_err(failed)?;
    Compression::of(&mut file).map_err(|error| failed(io::Error::other(error)))
}

/// An Engine whose image store is not containerd's looks for `docker save`'s files in an OCI layout.
fn explained(error: WireError) -> WireError {
    match error {
        WireError::Refused { status, message } if message.ends_with("no such file or directory") => {
            let message = format!(
                "this Engine does not load OCI layouts, only one with the containerd image store does: make an archive as \
                 `docker save` does, for example with skopeo ({message})"
            );
            WireError::Refused { status, message }
        }
        other => other,
    }
}
