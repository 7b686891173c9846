//! When is a plaintext file not needed any more? When no stack's spec places it and no container has it bound, running or
//! not; and never while a spec is being read, which places files before anything is known to use them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use plan::{ids::StackName, observed::Observed};
use systemd::runtime_dir::{Medium, PlaintextDir};

use crate::gather::Want;

/// The stacks whose specs are being read now.
#[derive(Debug, Default)]
pub struct Readings(Arc<Mutex<BTreeSet<StackName>>>);

/// One of them; it counts until it is dropped, also where nobody waits for it any more.
#[derive(Debug)]
pub struct Reading {
    stack: StackName,
    all: Readings,
}

impl Readings {
    /// One more begins; `None` where the stack's last one has not ended. A file system that does not answer holds a thread
    /// for as long as it likes, and one for each stack is enough.
    pub fn begin(&self, stack: &StackName) -> Option<Reading> {
        let all = Self(Arc::clone(&self.0));
        self.lock().insert(stack.clone()).then(|| Reading { stack: stack.clone(), all })
    }

    /// Whether there is none.
    pub fn are_over(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<StackName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.all.lock().remove(&self.stack);
    }
}

/// Everything that containers have bound.
pub fn bound(observed: &Observed) -> impl Iterator<Item = PathBuf> {
    let mounts = observed.containers().flat_map(|container| container.spec.mounts.values());
    mounts.filter_map(|mount| mount.source.as_ref()).map(|source| PathBuf::from(source.expose()))
}

/// Removes what neither these specs nor containers use. What cannot be removed is said, and tried again at the next pass.
pub fn tidy<'a>(
    runtime_dir: &Path,
    medium: Medium,
    wants: impl Iterator<Item = &'a Want>,
    bound: impl Iterator<Item = PathBuf>,
) {
    if !runtime_dir.join(systemd::runtime_dir::FOLDER).is_dir() {
        return;
    }
    let placed = wants.flat_map(|want| want.inputs.all_placed()).map(|file| file.path.clone());
    let used: BTreeSet<PathBuf> = placed.chain(bound).collect();
    let removed = PlaintextDir::open(runtime_dir, medium).and_then(|folder| folder.keep(&used));
    if let Err(error) = removed {
        tracing::warn!("{}", crate::exit::Failure::from(error));
    }
}

#[cfg(test)]
mod tests {
    use plan::desired::{FileOwner, Inputs, PlacedFile};
    use systemd::runtime_dir::Replace;

    use super::*;
    use crate::secrets::placing::Placing;

    #[test]
    fn what_a_spec_places_or_a_container_has_stays_and_the_rest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let placing = Placing::new(folder.path(), Medium::Any);
        let place = |name: &str| {
            placing.place(Path::new(name), b"1", FileOwner::default(), Replace::Whole).expect("placed")
        };
        let (wanted, bound, left) = (place("wanted"), place("bound"), place("left"));
        let placed = PlacedFile { path: wanted.clone(), digest: "1:x".into() };
        let want = Want {
            generation: "g".into(),
            folder: PathBuf::new(),
            project: Err("a spec that does not load keeps what it had".into()),
            failed_by: None,
            notes: Vec::new(),
            inputs: Inputs { placed_files: [("/x".into(), placed)].into(), ..Inputs::default() },
            places: std::collections::BTreeMap::default(),
            seen: Arc::default(),
            elsewhere: Arc::default(),
            secrets: Arc::default(),
        };
        tidy(folder.path(), Medium::Any, std::iter::once(&want), std::iter::once(bound.clone()));
        assert!(wanted.exists() && bound.exists() && !left.exists());
    }

    #[test]
    fn a_reading_that_nobody_waits_for_still_counts_and_the_stack_gets_no_second_one() {
        let readings = Readings::default();
        let begin = |name: &str| readings.begin(&name.into());
        let (one, two) = (begin("one"), begin("two"));
        assert!(two.is_some() && begin("two").is_none());
        drop(one);
        assert!(!readings.are_over());
        drop(two);
        assert!(readings.are_over());
    }
}
