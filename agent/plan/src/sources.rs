//! Has what a container has bound been replaced under it since it started?
//!
//! The Engine looks a bind's source up once, at the start. A file that is replaced later (editors rename a new one over
//! it), or a file system that is mounted there later, stays invisible to the container. What was there at the start is
//! remembered, and held against what is there now. A device and an inode that are equal are the same file: the container
//! itself keeps both from being given to another one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    container::{ContainerSpec, MountKind},
    drift::DriftKind,
    ids::Time,
    observed::{ObservedContainer, RunState},
};

/// What stands at the source of a bind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFact {
    /// The file system.
    pub device: u64,
    /// The file or folder on it.
    pub inode: u64,
    /// Where that file system is mounted.
    pub mount_point: PathBuf,
    /// Keyed digest of a small file's bytes: another file with the same bytes is no other one to whoever reads it.
    pub digest: Option<String>,
}

/// What a container has bound, as it was when the container started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BoundAt {
    /// Which start.
    pub started: Option<Time>,
    /// By the path in the container.
    pub sources: BTreeMap<String, SourceFact>,
}

/// A bind that shows the container something else than its source has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// [`DriftKind::StaleMount`] or [`DriftKind::StaleBind`].
    pub kind: DriftKind,
    /// The path in the container.
    pub target: String,
    /// The source.
    pub source: PathBuf,
    /// In words, what the container has.
    pub have: String,
    /// The file system is not mounted now: a start would bind the empty folder below it.
    pub unmounted: Option<PathBuf>,
}

/// What a running container has bound now, to be remembered as of its start.
pub fn bound(spec: &ContainerSpec, now: &BTreeMap<PathBuf, SourceFact>, started: Option<Time>) -> BoundAt {
    let sources =
        binds(spec).filter_map(|(target, source)| Some((target.to_owned(), now.get(source)?.clone())));
    BoundAt { started, sources: sources.collect() }
}

/// The binds of a container that are not what they were when it started.
pub fn stale(
    spec: &ContainerSpec,
    container: &ObservedContainer,
    at_start: Option<&BoundAt>,
    now: &BTreeMap<PathBuf, SourceFact>,
) -> Vec<Stale> {
    let known = at_start.filter(|known| known.started == container.state.started_at);
    let Some(known) = known.filter(|_| container.state.status == RunState::Running) else {
        return Vec::new();
    };
    binds(spec)
        .filter_map(|(target, source)| compare(target, source, known.sources.get(target)?, now.get(source)?))
        .collect()
}

fn compare(target: &str, source: &Path, then: &SourceFact, now: &SourceFact) -> Option<Stale> {
    if (then.device, then.inode) == (now.device, now.inode) {
        return None;
    }
    let stale = |kind, have: &str, unmounted| {
        let (target, source) = (target.to_owned(), source.to_owned());
        Some(Stale { kind, target, source, have: have.to_owned(), unmounted })
    };
    if then.device != now.device {
        let gone = then.mount_point != now.mount_point && !now.mount_point.starts_with(&then.mount_point);
        let have = "the file system that was mounted when it started";
        return stale(DriftKind::StaleMount, have, gone.then(|| then.mount_point.clone()));
    }
    let same_bytes = then.digest.is_some() && then.digest == now.digest;
    if same_bytes {
        None
    } else {
        stale(DriftKind::StaleBind, "the file that was there when it started", None)
    }
}

fn binds(spec: &ContainerSpec) -> impl Iterator<Item = (&str, &Path)> {
    spec.mounts
        .iter()
        .filter(|(_, mount)| mount.kind == MountKind::Bind)
        .filter_map(|(target, mount)| Some((target.as_str(), Path::new(mount.source.as_ref()?.expose()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(device: u64, inode: u64, mount_point: &str, digest: Option<&str>) -> SourceFact {
        SourceFact { device, inode, mount_point: mount_point.into(), digest: digest.map(str::to_owned) }
    }

    fn kind(then: &SourceFact, now: &SourceFact) -> Option<(DriftKind, bool)> {
        compare("/d", Path::new("/mnt/nas/d"), then, now).map(|stale| (stale.kind, stale.unmounted.is_some()))
    }

    #[test]
    fn another_file_system_or_another_file_is_stale_and_a_copy_with_the_same_bytes_is_not() {
        let nas = fact(7, 2, "/mnt/nas", None);
        assert_eq!(kind(&nas, &nas), None);
        assert_eq!(
            kind(&nas, &fact(8, 2, "/mnt/nas", None)),
            Some((DriftKind::StaleMount, false)),
            "mounted anew"
        );
        assert_eq!(kind(&nas, &fact(1, 9, "/", None)), Some((DriftKind::StaleMount, true)), "unmounted");
        let empty = fact(1, 9, "/", None);
        assert_eq!(kind(&empty, &nas), Some((DriftKind::StaleMount, false)), "mounted after the start");
        let file = fact(1, 4, "/", Some("a"));
        assert_eq!(kind(&file, &fact(1, 5, "/", Some("b"))), Some((DriftKind::StaleBind, false)));
        assert_eq!(kind(&file, &fact(1, 5, "/", Some("a"))), None);
        assert_eq!(kind(&file, &fact(1, 4, "/", Some("b"))), None, "written in place: the container sees it");
        let large = fact(1, 4, "/", None);
        assert_eq!(kind(&large, &fact(1, 5, "/", None)), Some((DriftKind::StaleBind, false)));
    }
}
