//! Which devices of the host does a container need before it can start?

use std::{collections::BTreeSet, fmt};

use specs::Text;

use crate::container::{ContainerSpec, DeviceRequest};

/// One device, or one sort of device. A host that lacks it is waited for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceNeed {
    /// A device node, or a folder of them, by its path on the host.
    Path(Text),
    /// A device of the Container Device Interface, `vendor.com/class=name`.
    Cdi(Text),
    /// Any GPU that the Engine's own driver can hand over.
    Gpu,
}

impl fmt::Display for DeviceNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "device {}", path.shown()),
            Self::Cdi(name) => write!(f, "CDI device {}", name.shown()),
            Self::Gpu => f.write_str("a GPU"),
        }
    }
}

/// What a container needs. Requests of drivers that the agent does not know are the Engine's to judge.
pub fn needs(spec: &ContainerSpec) -> BTreeSet<DeviceNeed> {
    let paths = spec.devices.iter().map(|device| DeviceNeed::Path(device.source.clone()));
    let is_cdi = |request: &&DeviceRequest| request.driver == *"cdi";
    let names = spec.device_requests.iter().filter(is_cdi).flat_map(|request| &request.device_ids);
    let is_gpu = |request: &DeviceRequest| {
        (request.driver.is_empty() || request.driver == *"nvidia")
            && request.capabilities.iter().flatten().any(|capability| *capability == *"gpu")
    };
    let gpu = spec.device_requests.iter().any(is_gpu).then_some(DeviceNeed::Gpu);
    paths.chain(names.map(|name| DeviceNeed::Cdi(name.clone()))).chain(gpu).collect()
}
