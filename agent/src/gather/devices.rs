//! Which of the devices that services need are not on this host now?
//!
//! Reads only, and never waits long. What cannot be told is left to the Engine: it is wrong to wait for a device that is
//! there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use docker::Address;
use plan::{
    desired::Desired,
    devices::{DeviceNeed, needs},
    ids::StackName,
    observed::EngineFacts,
};
use serde::Deserialize;
use systemd::{
    mounts::Mount,
    stat::{Asker, StatError},
};
use tokio::task::spawn_blocking;

use crate::{daemon::Agent, gather::bound::own_mounts};

/// How long a path may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How large a CDI specification may be, in bytes.
const LARGEST: u64 = 1 << 20;
/// How many of them are read in a folder.
const MOST: usize = 64;
/// Where the devices of a host are.
const DEV: &str = "/dev";
/// One of these says that there is a GPU which the Engine's driver can hand over: NVIDIA's, that of WSL2, Jetson's.
const GPU_NODES: [&str; 4] = ["nvidiactl", "nvidia0", "dxg", "nvhost-ctrl"];
/// NVIDIA's number on the PCI bus, and the class of display controllers. Its device nodes may be made by the first
/// container that asks for them.
const NVIDIA: &str = "0x10de";
const DISPLAY: &str = "0x03";
const PCI: &str = "/sys/bus/pci/devices";

/// What is looked for, and where.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    wanted: BTreeSet<DeviceNeed>,
    /// Where the host's `/dev` is seen; `None`: nowhere, as in a sandbox.
    dev: Option<PathBuf>,
    /// The devices of the PCI bus.
    pci: PathBuf,
    /// Where the Engine looks for CDI specifications; none where it knows nothing of them.
    cdi: Vec<PathBuf>,
}

impl Agent {
    /// The devices that a stack's services need and that are not there, with what was found instead.
    pub(crate) async fn absent_devices(
        &self,
        desired: &Desired,
        engine: &EngineFacts,
    ) -> BTreeMap<DeviceNeed, String> {
        let wanted: BTreeSet<DeviceNeed> =
            desired.services.values().flat_map(|service| needs(&service.spec)).collect();
        // An Engine that is reached over a network has other devices than this host.
        if wanted.is_empty() || !matches!(self.eyes.address(), Ok(Address::Unix(_))) {
            return BTreeMap::new();
        }
        let (search, asker) = (self.search(wanted, engine), self.asker.clone());
        spawn_blocking(move || search.absent(&asker)).await.unwrap_or_default()
    }

    /// Keeps an eye on the devices that a stack misses.
    pub(crate) fn note_missed(&self, desired: &Desired, engine: &EngineFacts) {
        let wanted: BTreeSet<DeviceNeed> = desired.inputs.absent_devices.keys().cloned().collect();
        let mut missed = self.missed.borrow_mut();
        if wanted.is_empty() {
            missed.remove(&desired.stack);
        } else {
            missed.insert(desired.stack.clone(), self.search(wanted, engine));
        }
    }

    fn search(&self, wanted: BTreeSet<DeviceNeed>, engine: &EngineFacts) -> Search {
        Search { wanted, dev: self.options.dev.clone(), pci: PCI.into(), cdi: engine.cdi_spec_dirs.clone() }
    }

    /// The stacks for which a device has come that was missed.
    pub(crate) async fn supplied_stacks(&self) -> Vec<StackName> {
        let missed = self.missed.borrow().clone();
        if missed.is_empty() {
            return Vec::new();
        }
        let asker = self.asker.clone();
        let look = move || {
            let supplied = |(stack, search): (StackName, Search)| {
                (search.absent(&asker).len() < search.wanted.len()).then_some(stack)
            };
            missed.into_iter().filter_map(supplied).collect()
        };
        spawn_blocking(look).await.unwrap_or_default()
    }
}

impl Search {
    fn absent(&self, asker: &Asker) -> BTreeMap<DeviceNeed, String> {
        let why = |need: &DeviceNeed| match need {
            DeviceNeed::Path(path) => self.lacks_node(Path::new(path.expose()), asker),
            DeviceNeed::Cdi(name) => self.lacks_cdi(name.expose(), asker),
            DeviceNeed::Gpu => self.lacks_gpu(asker),
        };
        self.wanted.iter().filter_map(|need| Some((need.clone(), why(need)?))).collect()
    }

    fn lacks_node(&self, path: &Path, asker: &Asker) -> Option<String> {
        let seen = match path.strip_prefix(DEV) {
            Ok(below) => self.dev()?.join(below),
            Err(_) => path.to_owned(),
        };
        match asker.ask(&seen, PATIENCE) {
            Ok(found) if found.is_device || found.is_folder => None,
            Ok(_) => Some("is neither a device nor a folder of devices".to_owned()),
            // A link may lead to where only the host gets.
            Err(error) if is_absent(&error) && fs::symlink_metadata(&seen).is_err() => {
                Some("is not there".to_owned())
            }
            Err(_) => None,
        }
    }

    fn lacks_cdi(&self, name: &str, asker: &Asker) -> Option<String> {
        if self.cdi.is_empty() || self.cdi_devices(asker)?.contains(name) {
            return None;
        }
        let folders: Vec<String> = self.cdi.iter().map(|folder| folder.display().to_string()).collect();
        Some(format!("is in no specification in {}", folders.join(", ")))
    }

    fn lacks_gpu(&self, asker: &Asker) -> Option<String> {
        let dev = self.dev()?;
        let is_there =
            |node: &&str| !asker.ask(&dev.join(node), PATIENCE).is_err_and(|error| is_absent(&error));
        let has_node = GPU_NODES.iter().any(is_there);
        let is_named = || {
            let devices = self.cdi_devices(asker);
            devices.is_none_or(|devices| devices.iter().any(|name| name.starts_with("nvidia.com/gpu=")))
        };
        (!has_node && !self.is_on_the_bus() && !is_named()).then(|| "is not on this host".to_owned())
    }

    fn is_on_the_bus(&self) -> bool {
        let says = |device: &Path, what: &str, begins: &str| {
            fs::read_to_string(device.join(what)).is_ok_and(|text| text.starts_with(begins))
        };
        let devices = fs::read_dir(&self.pci).into_iter().flatten().flatten();
        devices
            .map(|device| device.path())
            .any(|at| says(&at, "vendor", NVIDIA) && says(&at, "class", DISPLAY))
    }

    /// The full names of all CDI devices; `None` where something could not be read.
    fn cdi_devices(&self, asker: &Asker) -> Option<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for folder in &self.cdi {
            let files = match fs::read_dir(folder) {
                Ok(files) => files,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => return None,
            };
            let is_spec = |path: &PathBuf| path.extension().is_some_and(|end| end == "json" || end == "yaml");
            for path in files.flatten().map(|file| file.path()).filter(is_spec).take(MOST) {
                let (_, bytes) = asker.read(&path, PATIENCE, LARGEST).ok()?;
                // The Engine passes over what it does not understand, too.
                let Ok(found) = serde_yaml::from_slice::<Specification>(&bytes?) else { continue };
                names.extend(found.devices.iter().map(|device| format!("{}={}", found.kind, device.name)));
            }
        }
        Some(names)
    }

    /// Where the host's `/dev` is: as told, or this process's own where that is the kernel's. A container's or a
    /// sandbox's own says nothing about the host.
    fn dev(&self) -> Option<PathBuf> {
        let is_kernels = |mounted: &[Mount]| {
            let own = mounted.iter().rev().find(|mount| mount.mount_point == Path::new(DEV));
            own.is_some_and(|mount| mount.fs_type == "devtmpfs")
        };
        self.dev.clone().or_else(|| is_kernels(&own_mounts()).then(|| DEV.into()))
    }
}

fn is_absent(error: &StatError) -> bool {
    matches!(error, StatError::Failed { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// A CDI specification, as far as it says which devices there are (Container Device Interface, 0.3 to 1.0).
#[derive(Debug, Deserialize)]
struct Specification {
    kind: String,
    #[serde(default)]
    devices: Vec<CdiDevice>,
}

#[derive(Debug, Deserialize)]
struct CdiDevice {
    name: String,
}

#[cfg(test)]
mod tests {
    use specs::Text;

    use super::*;

    /// Folders for devices, the bus and specifications, and what is lacking of `wanted` there.
    fn absent(folder: &Path, wanted: &DeviceNeed) -> Option<String> {
        let search = Search {
            wanted: [wanted.clone()].into(),
            dev: Some(folder.join("dev")),
            pci: folder.join("pci"),
            cdi: vec![folder.join("cdi"), folder.join("nowhere")],
        };
        search.absent(&Asker::default()).remove(wanted)
    }

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    #[test]
    fn a_node_or_a_folder_of_them_is_there_and_a_file_is_no_device() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        put(&at.join("dev/dri/file"), "");
        std::os::unix::fs::symlink("/dev/null", at.join("dev/null")).expect("linked");
        std::os::unix::fs::symlink("/nowhere", at.join("dev/by-id")).expect("linked");
        let path = |path: &str| absent(at, &DeviceNeed::Path(Text::plain(path)));
        assert_eq!(
            [path("/dev/null"), path("/dev/dri"), path("/dev/by-id"), path("/proc/self")],
            [None, None, None, None]
        );
        assert_eq!(path("/dev/ttyUSB0").as_deref(), Some("is not there"));
        assert_eq!(path("/nowhere/at/all").as_deref(), Some("is not there"));
        assert!(path("/dev/dri/file").expect("no device").contains("neither"));
    }

    #[test]
    fn a_device_of_a_specification_is_known_by_its_full_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        let name = |name: &str| absent(at, &DeviceNeed::Cdi(Text::plain(name)));
        assert!(name("vendor.com/class=first").expect("absent").contains("in no specification in"));
        put(&at.join("cdi/odd.json"), "{");
        put(
            &at.join("cdi/one.json"),
            r#"{"cdiVersion":"0.6.0","kind":"vendor.com/class","devices":[{"name":"first"}]}"#,
        );
        put(&at.join("cdi/two.yaml"), "cdiVersion: 0.6.0\nkind: other.com/x\ndevices:\n- name: \"0\"\n");
        assert_eq!([name("vendor.com/class=first"), name("other.com/x=0")], [None, None]);
        assert!(name("vendor.com/class=second").is_some());
    }

    #[test]
    fn a_gpu_is_there_where_the_bus_a_node_or_a_specification_has_one() {
        for (file, text) in [
            ("dev/nvidiactl", ""),
            ("dev/dxg", ""),
            ("cdi/nvidia.yaml", "kind: nvidia.com/gpu\ndevices: [{name: all}]\n"),
            ("pci/0000:01:00.0/class", "0x030000\n"),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            put(&folder.path().join("pci/0000:01:00.0/vendor"), "0x10de\n");
            put(&folder.path().join("pci/0000:01:00.1/class"), "0x030000\n");
            assert_eq!(absent(folder.path(), &DeviceNeed::Gpu).as_deref(), Some("is not on this host"));
            put(&folder.path().join(file), text);
            assert_eq!(absent(folder.path(), &DeviceNeed::Gpu), None, "{file}");
        }
    }
}
