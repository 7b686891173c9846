//! Is a path on a mounted file system?

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// One mount of `/proc/self/mountinfo` (proc(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The mount's id: another one after unmounting and mounting again.
    pub id: u32,
    /// `major:minor`.
    pub device: String,
    /// Where.
    pub mount_point: PathBuf,
    /// `nfs4`, `ext4` …
    pub fs_type: String,
}

/// Reads the text of `mountinfo`; lines that are not understood are passed over.
pub fn parse(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let fields: Vec<&str> = left.split(' ').collect();
    Some(Mount {
        id: fields.first()?.parse().ok()?,
        device: (*fields.get(2)?).to_owned(),
        mount_point: PathBuf::from(unescape(fields.get(4)?)),
        fs_type: right.split(' ').next()?.to_owned(),
    })
}

/// Spaces, tabs and backslashes are written in octal.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (written, meant)| text.replace(written, meant))
}

/// Whether a file system (of this type) is mounted at `path` or above it, the root aside; otherwise what was found.
///
/// # Errors
/// Nothing is mounted there, only an automount that has not fired, or another type.
pub fn present<'m>(mounts: &'m [Mount], path: &Path, fs_type: Option<&str>) -> Result<&'m Mount, String> {
    let over = mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.mount_point) && mount.mount_point != Path::new("/"));
    // The last one at the deepest place is the one that is seen.
    let seen = over.enumerate().max_by_key(|(nth, mount)| (mount.mount_point.components().count(), *nth));
    let Some((_, mount)) = seen else { return Err("nothing is mounted there".into()) };
    if mount.fs_type == "autofs" {
        return Err("an automount that has not mounted yet".into());
    }
    match fs_type {
        Some(wanted) if wanted != mount.fs_type => {
            Err(format!("{} is mounted there, expected {wanted}", mount.fs_type))
        }
        _ => Ok(mount),
    }
}

/// Where the file system is mounted that `path` is on.
pub fn mount_point<'m>(mounts: &'m [Mount], path: &Path) -> &'m Path {
    let over = mounts.iter().map(|mount| mount.mount_point.as_path()).filter(|point| path.starts_with(point));
    over.max_by_key(|point| point.components().count()).unwrap_or(Path::new("/"))
}

/// Where something was mounted or unmounted between two looks.
pub fn changed(before: &[Mount], now: &[Mount]) -> BTreeSet<PathBuf> {
    let gone = before.iter().filter(|mount| !now.contains(mount));
    let new = now.iter().filter(|mount| !before.contains(mount));
    gone.chain(new).map(|mount| mount.mount_point.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        40 22 0:40 / /mnt/data rw shared:1 - nfs4 nas:/data rw\n\
        41 22 0:41 / /mnt/my\\040disk rw - ext4 /dev/sdb rw\n\
        42 22 0:42 / /mnt/auto rw - autofs systemd-1 rw\n";

    #[test]
    fn the_deepest_mount_is_where_a_path_is_and_a_change_is_where_tables_differ() {
        let mounts = parse(TEXT);
        assert_eq!(mount_point(&mounts, Path::new("/mnt/data/films")), Path::new("/mnt/data"));
        assert_eq!(mount_point(&mounts, Path::new("/srv")), Path::new("/"));
        let anew = parse(&TEXT.replace("40 22 0:40", "40 22 0:77"));
        assert_eq!(changed(&mounts, &anew), [PathBuf::from("/mnt/data")].into());
        assert!(changed(&mounts, &mounts).is_empty());
    }

    #[test]
    fn what_is_mounted_counts_and_the_root_does_not() {
        let mounts = parse(TEXT);
        let ask = |path: &str, fs_type| present(&mounts, Path::new(path), fs_type).map(|mount| mount.id);
        assert_eq!(ask("/mnt/data/films", None), Ok(40));
        assert_eq!(ask("/mnt/data", Some("nfs4")), Ok(40));
        assert_eq!(ask("/mnt/data", Some("ext4")), Err("nfs4 is mounted there, expected ext4".into()));
        assert_eq!(ask("/mnt/my disk/x", None), Ok(41));
        assert_eq!(ask("/srv", None), Err("nothing is mounted there".into()));
        assert_eq!(ask("/mnt/auto/x", None), Err("an automount that has not mounted yet".into()));
    }
}
