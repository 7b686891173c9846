//! What stands at the sources of a stack's binds now?
//!
//! Reads only, and never waits long: a source on a dead network mount is not known, and nothing is concluded from it. What
//! the profile declares, and what is decrypted, is left out: its content is accounted for by digests.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use docker::Address;
use plan::{container::MountKind, desired::Desired, sources::SourceFact};
use specs::secrets::keyed_digest;
use systemd::{
    mounts::{self, Mount},
    runtime_dir::digest_key,
    stat::{Asker, StatError},
};
use tokio::task::spawn_blocking;

use crate::daemon::Agent;

/// How long a source may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Files up to this size, in bytes, are told apart by their content.
const SMALL: u64 = 64 << 10;

impl Agent {
    /// The facts of every bind source that a stack's services declare.
    pub(crate) async fn bound_sources(&self, desired: &Desired) -> BTreeMap<PathBuf, SourceFact> {
        let sources = sources(desired);
        // An Engine that is reached over a network has other files than this host.
        if sources.is_empty() || !matches!(self.eyes.address(), Ok(Address::Unix(_))) {
            return BTreeMap::new();
        }
        let (asker, state_dir) = (self.asker.clone(), self.options.state_dir.clone());
        let look = move || {
            let key = digest_key(&state_dir).ok();
            facts(&sources, &asker, &own_mounts(), key.as_ref())
        };
        spawn_blocking(look).await.unwrap_or_default()
    }
}

/// The mounts of this process; none where they cannot be read.
pub(crate) fn own_mounts() -> Vec<Mount> {
    mounts::parse(&std::fs::read_to_string(systemd::mount_watch::OWN).unwrap_or_default())
}

/// The bind sources that only their place stands for.
fn sources(desired: &Desired) -> BTreeSet<PathBuf> {
    let inputs = &desired.inputs;
    let known: BTreeSet<&Path> = inputs
        .side_files
        .iter()
        .flat_map(|(path, fact)| [path.as_path(), fact.resolved.as_path()])
        .chain(inputs.all_placed().map(|file| file.path.as_path()))
        .collect();
    let mounts = desired.services.values().flat_map(|service| service.spec.mounts.values());
    let sources =
        mounts.filter(|mount| mount.kind == MountKind::Bind).filter_map(|mount| mount.source.as_ref());
    sources
        .map(|source| PathBuf::from(source.expose()))
        .filter(|path| !known.contains(path.as_path()))
        .collect()
}

fn facts(
    sources: &BTreeSet<PathBuf>,
    asker: &Asker,
    mounted: &[Mount],
    key: Option<&[u8; 32]>,
) -> BTreeMap<PathBuf, SourceFact> {
    let mut found = BTreeMap::new();
    for source in sources {
        match asker.read(source, PATIENCE, SMALL) {
            Ok((facts, bytes)) => {
                let mount_point = mounts::mount_point(mounted, source).to_owned();
                let digest = key.zip(bytes).map(|(key, bytes)| keyed_digest(key, &bytes));
                let fact = SourceFact { device: facts.device, inode: facts.inode, mount_point, digest };
                found.insert(source.clone(), fact);
            }
            Err(StatError::Failed { .. }) => {}
            // The others may hang as well, and a pass waits for all of them.
            Err(StatError::TimedOut { .. } | StatError::TooMany { .. }) => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told_by_its_place_and_a_small_file_by_its_bytes_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("small");
        std::fs::write(&file, "1").expect("written");
        let wanted = [file.clone(), folder.path().to_owned(), folder.path().join("absent")].into();
        let found = facts(&wanted, &Asker::default(), &own_mounts(), Some(&[7; 32]));
        assert_eq!(found.len(), 2);
        assert!(found[&file].digest.is_some() && found[folder.path()].digest.is_none());
    }
}
