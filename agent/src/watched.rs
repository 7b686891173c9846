//! Which files on this host matter to which stacks, and who is looked at when one of them becomes another?
//!
//! What a spec was read from, outside the store, where nothing ever changes; and what containers bind, where the place
//! counts and not the content. A watch only makes it faster: the resync finds whatever none has told of.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use plan::ids::StackName;
use specs::model::{MountKind, Project};
use systemd::folders::{Folders, Happened, Name, names_of};
use tokio::time::sleep;

use crate::{beside::beside, daemon::Agent, gather::Want, triggers::Trigger};

/// So many folders are watched.
const MOST: usize = 512;
/// What happens in quick succession is told at once. Somebody may write to a neighbour of a file all day.
const PAUSE: Duration = Duration::from_millis(100);
/// Where the kernel shows what it has, and not what somebody has put there.
const KERNELS: [&str; 3] = ["/dev", "/proc", "/sys"];

/// What of a path matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Care {
    /// Which file it is.
    Place,
    /// What is written in it, too.
    Content,
}

/// A path, what of it matters, and to whom.
type Paths = BTreeSet<(PathBuf, Care, StackName)>;
/// By which names those paths are reached, and what of each name matters to whom.
type Names = BTreeMap<Name, BTreeSet<(Care, StackName)>>;

/// Watches until the daemon ends.
pub async fn watch(agent: Rc<Agent>) {
    let mut folders = match Folders::new() {
        Ok(folders) => folders,
        Err(error) => {
            tracing::warn!("cannot watch files: {error}; they are looked at every resync only");
            return;
        }
    };
    let (mut paths, mut names) = (Paths::new(), Names::new());
    loop {
        // Both arms may be dropped at any time without losing anything.
        let moved = tokio::select! {
            () = agent.quiet.notified() => false,
            happened = folders.next() => match happened {
                Ok(happened) => tell(&agent, &names, &happened),
                Err(error) => {
                    tracing::warn!("files are not watched any more: {error}");
                    return;
                }
            },
        };
        let now = agent.paths();
        if moved || now != paths {
            paths = now;
            names = names_by(paths.clone()).await;
            let wanted: BTreeSet<PathBuf> = names.keys().map(|name| name.folder.clone()).collect();
            folders.watch_only(wanted.into_iter().take(MOST).collect()).await;
        }
        sleep(PAUSE).await;
    }
}

/// Has everybody looked at whom it concerns; answers whether it concerns anybody.
fn tell(agent: &Agent, names: &Names, happened: &BTreeSet<Happened>) -> bool {
    let touched: BTreeSet<&StackName> = happened.iter().flat_map(|one| concerned(names, one)).collect();
    touched.iter().for_each(|stack| agent.trigger(Trigger::Stack((*stack).clone())));
    !touched.is_empty()
}

fn concerned<'n>(names: &'n Names, happened: &Happened) -> Vec<&'n StackName> {
    let cares = |written: bool| move |(care, _): &&(Care, StackName)| !written || *care == Care::Content;
    let of = |name: &Name, written| names.get(name).into_iter().flatten().filter(cares(written));
    let all = |is_meant: &dyn Fn(&Name) -> bool| -> Vec<&'n StackName> {
        let names = names.iter().filter(|(name, _)| is_meant(name));
        names.flat_map(|(_, stacks)| stacks.iter().map(|(_, stack)| stack)).collect()
    };
    match happened {
        Happened::Replaced(name) => of(name, false).map(|(_, stack)| stack).collect(),
        Happened::Written(name) => of(name, true).map(|(_, stack)| stack).collect(),
        Happened::Lost(folder) => all(&|name| name.folder == *folder),
        Happened::Missed => all(&|_| true),
    }
}

async fn names_by(paths: Paths) -> Names {
    let look = move || {
        let mut names = Names::new();
        for (path, care, stack) in paths {
            for name in names_of(&path) {
                names.entry(name).or_default().insert((care, stack.clone()));
            }
        }
        names
    };
    beside(look).await.unwrap_or_default()
}

impl Agent {
    /// Every path that matters, as it is declared.
    fn paths(&self) -> Paths {
        let wants = self.wants.borrow();
        let mut paths = Paths::new();
        for (stack, want) in wants.iter() {
            let read = want.seen.keys().map(|path| (self.resolved(want, path), Care::Content));
            let bound = want.project.iter().flat_map(|project| bound(project));
            let bound = bound.map(|path| (self.resolved(want, path), Care::Place));
            let all = read.chain(bound).filter(|(path, _)| self.may_change(path));
            paths.extend(all.map(|(path, care)| (path, care, stack.clone())));
        }
        paths
    }

    /// The profile's path leads elsewhere after a switch, and whoever switches says so.
    fn resolved(&self, want: &Want, path: &Path) -> PathBuf {
        let below = path.strip_prefix(&self.options.profile);
        below.map_or_else(|_| path.to_owned(), |below| Path::new(want.generation.as_str()).join(below))
    }

    fn may_change(&self, path: &Path) -> bool {
        let settled = [self.options.store.as_path(), self.options.runtime_dir.as_path()];
        path.is_absolute()
            && !settled.into_iter().chain(KERNELS.map(Path::new)).any(|folder| path.starts_with(folder))
    }
}

/// The sources of a stack's binds.
fn bound(project: &Project) -> impl Iterator<Item = &Path> {
    let mounts = project.services.values().flat_map(|service| &service.volumes);
    mounts.filter(|mount| mount.kind == MountKind::Bind).map(|mount| Path::new(mount.source.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_concerns_who_reads_it_and_replacing_everybody() {
        let name = |folder: &str| Name { folder: folder.into(), name: "file".into() };
        let names = Names::from([
            (name("/a"), [(Care::Place, "binds".into()), (Care::Content, "reads".into())].into()),
            (name("/b"), [(Care::Place, "other".into())].into()),
        ]);
        let who = |happened: Happened| -> Vec<String> {
            concerned(&names, &happened).iter().map(ToString::to_string).collect()
        };
        assert_eq!(who(Happened::Replaced(name("/a"))), ["binds", "reads"]);
        assert_eq!(who(Happened::Written(name("/a"))), ["reads"]);
        assert_eq!(who(Happened::Written(name("/c"))), Vec::<String>::new());
        assert_eq!(who(Happened::Lost("/b".into())), ["other"]);
        assert_eq!(who(Happened::Missed), ["binds", "reads", "other"]);
    }
}
