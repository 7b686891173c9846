//! How is an image archive loaded?

use std::{path::Path, time::Duration};

use hyper::Method;

use super::lines;
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
            let payload = Payload::File(archive.to_owned());
            let answer = self.wire.open(Method::POST, "/images/load?quiet=1", payload, &[]).await?;
            lines::read(answer, STALL, |_| {}).await
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
