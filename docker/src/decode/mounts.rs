//! What does a container mount, by whichever part of the API it was declared?

use std::collections::BTreeMap;

use plan::container::{Mount, MountForm, MountKind};
use serde_json::Value;
use specs::Text;

use super::json::{entries, flag, int, items, string, text, texts_by_name};

pub(super) fn mounts(host: &Value) -> BTreeMap<String, Mount> {
    let mut mounts = BTreeMap::new();
    for bind in items(&host["Binds"]).filter_map(Value::as_str) {
        let mut parts = bind.splitn(3, ':');
        let (source, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let kind = if source.starts_with('/') { MountKind::Bind } else { MountKind::Volume };
        let mut mount =
            Mount { kind, source: Some(Text::plain(source)), create_host_path: true, ..Mount::default() };
        for option in parts.next().unwrap_or_default().split(',') {
            match option {
                "ro" => mount.read_only = true,
                "rw" | "" => {}
                "nocopy" => mount.no_copy = true,
                "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                    mount.propagation = Some(Text::plain(option));
                }
                other => mount.options.push(other.to_owned()),
            }
        }
        mounts.insert(target.to_owned(), mount);
    }
    for (target, options) in entries(&host["Tmpfs"]) {
        let options = string(options);
        let options = if options.is_empty() { Vec::new() } else { vec![options] };
        mounts.insert(
            target.clone(),
            Mount { kind: MountKind::Tmpfs, form: MountForm::Tmpfs, options, ..Mount::default() },
        );
    }
    for entry in items(&host["Mounts"]) {
        mounts.insert(string(&entry["Target"]), mount(entry));
    }
    mounts
}

fn mount(entry: &Value) -> Mount {
    let (bind, volume, tmpfs) = (&entry["BindOptions"], &entry["VolumeOptions"], &entry["TmpfsOptions"]);
    let recursive = [
        ("NonRecursive", "disabled"),
        ("ReadOnlyNonRecursive", "writable"),
        ("ReadOnlyForceRecursive", "readonly"),
    ];
    Mount {
        kind: match entry["Type"].as_str().unwrap_or_default() {
            "volume" => MountKind::Volume,
            "tmpfs" => MountKind::Tmpfs,
            "image" => MountKind::Image,
            "npipe" => MountKind::Npipe,
            "cluster" => MountKind::Cluster,
            _ => MountKind::Bind,
        },
        form: MountForm::Mount,
        source: text(&entry["Source"]),
        read_only: flag(&entry["ReadOnly"]),
        consistency: text(&entry["Consistency"]),
        propagation: text(&bind["Propagation"]),
        create_host_path: flag(&bind["CreateMountpoint"]),
        recursive: recursive
            .into_iter()
            .find(|(key, _)| flag(&bind[*key]))
            .map(|(_, word)| Text::plain(word)),
        no_copy: flag(&volume["NoCopy"]),
        subpath: text(&volume["Subpath"]).or_else(|| text(&entry["ImageOptions"]["Subpath"])),
        labels: texts_by_name(&volume["Labels"]),
        tmpfs_size: int(&tmpfs["SizeBytes"]),
        tmpfs_mode: u32::try_from(int(&tmpfs["Mode"])).unwrap_or(0),
        options: Vec::new(),
    }
}
