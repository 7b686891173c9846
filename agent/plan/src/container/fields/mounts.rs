//! Does the container see the declared files?

use std::collections::BTreeSet;

use specs::Text;

use super::{Found, Repair};
use crate::container::{ContainerSpec, Mount, MountForm, MountKind};

pub(super) fn compare(found: &mut Found, want: &ContainerSpec, have: &ContainerSpec) {
    for (target, ours) in &want.mounts {
        match have.mounts.get(target) {
            Some(theirs) => mount(found, target, ours, theirs),
            None => {
                found.push(format!("volumes.{target}"), describe(ours), Text::default(), Repair::Recreate);
            }
        }
    }
    for (target, theirs) in have.mounts.iter().filter(|(target, _)| !want.mounts.contains_key(*target)) {
        // An anonymous volume is the image's, or one that an earlier container left to this one.
        let anonymous = theirs.kind == MountKind::Volume && is_anonymous(theirs);
        if !(anonymous || found.tolerates_additions() && !have.volumes_from.is_empty()) {
            found.push(format!("volumes.{target}"), Text::default(), describe(theirs), Repair::Recreate);
        }
    }
}

fn is_anonymous(mount: &Mount) -> bool {
    let name = mount.source.as_ref().map_or("", Text::expose);
    name.is_empty() || (name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn mount(found: &mut Found, target: &str, want: &Mount, have: &Mount) {
    let field = |part: &str| format!("volumes.{target}.{part}");
    if want.kind != have.kind || (want.form == MountForm::Tmpfs) != (have.form == MountForm::Tmpfs) {
        return found.push(format!("volumes.{target}"), describe(want), describe(have), Repair::Recreate);
    }
    if !(want.kind == MountKind::Volume && want.source.is_none()) {
        let clean = |mount: &Mount| mount.source.as_ref().map(|text| text.map(clean));
        found.text(&field("source"), clean(want).as_ref(), clean(have).as_ref());
    }
    found.flag(&field("read_only"), want.read_only, have.read_only);
    let propagation = |mount: &Mount| {
        let text = mount.propagation.clone().unwrap_or_default();
        if text == "rprivate" { Text::default() } else { text }
    };
    found.text(&field("bind.propagation"), Some(&propagation(want)), Some(&propagation(have)));
    found.text(&field("bind.recursive"), want.recursive.as_ref(), have.recursive.as_ref());
    let options = |mount: &Mount| -> BTreeSet<Text> {
        mount.options.iter().map(|option| Text::plain(option.as_str())).collect()
    };
    found.set(&field("options"), options(want), options(have));
    found.flag(&field("volume.nocopy"), want.no_copy, have.no_copy);
    found.text(&field("subpath"), want.subpath.as_ref(), have.subpath.as_ref());
    if want.kind == MountKind::Tmpfs {
        let size = |mount: &Mount| Text::from(mount.tmpfs_size.to_string());
        found.text(&field("tmpfs.size"), Some(&size(want)), Some(&size(have)));
        let mode = |mount: &Mount| Text::from(format!("{:04o}", mount.tmpfs_mode));
        found.text(&field("tmpfs.mode"), Some(&mode(want)), Some(&mode(have)));
    }
}

/// A path without what does not change its meaning.
fn clean(path: &str) -> String {
    if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path.to_owned() }
}

fn describe(mount: &Mount) -> Text {
    let kind = match mount.kind {
        MountKind::Bind => "bind",
        MountKind::Volume => "volume",
        MountKind::Tmpfs => "tmpfs",
        MountKind::Image => "image",
        MountKind::Npipe => "npipe",
        MountKind::Cluster => "cluster",
    };
    let source = mount.source.clone().unwrap_or_default();
    let mode = if mount.read_only { " read-only" } else { "" };
    source.map(|source| format!("{kind} {source}{mode}").replace("  ", " ").trim_end().to_owned())
}
