//! What are a network, a volume and an image, in the form in which desired and observed meet?

use std::collections::{BTreeMap, BTreeSet};

use specs::{Text, doc::Key};

use crate::{
    container::Healthcheck,
    ids::{ImageId, ProjectName},
};

/// A network as the Engine would be told to make it (`NetworkCreate`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NetworkSpec {
    /// The Engine's name.
    pub name: String,
    /// Empty is the Engine's default.
    pub driver: Option<Text>,
    /// The driver's options.
    pub driver_opts: BTreeMap<Key, Text>,
    /// The IPAM driver.
    pub ipam_driver: Option<Text>,
    /// The IPAM driver's options.
    pub ipam_options: BTreeMap<Key, Text>,
    /// The address pools.
    pub pools: Vec<Pool>,
    /// No way out.
    pub internal: bool,
    /// Containers outside the stack may join.
    pub attachable: bool,
    /// `None`: the Engine's default.
    pub enable_ipv4: Option<bool>,
    /// `None`: the Engine's default.
    pub enable_ipv6: Option<bool>,
    /// The user's labels.
    pub labels: BTreeMap<Key, Text>,
}

/// One IPAM pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Pool {
    /// `172.28.0.0/16`.
    pub subnet: String,
    /// The gateway; empty: the Engine chooses.
    pub gateway: String,
    /// The range for containers; empty: the whole subnet.
    pub ip_range: String,
    /// Reserved addresses.
    pub aux_addresses: BTreeMap<String, String>,
}

/// A volume as the Engine would be told to make it (`VolumeCreate`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VolumeSpec {
    /// The Engine's name.
    pub name: String,
    /// Empty is `local`.
    pub driver: Option<Text>,
    /// The driver's options.
    pub driver_opts: BTreeMap<Key, Text>,
    /// The user's labels.
    pub labels: BTreeMap<Key, Text>,
}

/// A network that the Engine has.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedNetwork {
    /// The Engine's id.
    pub id: String,
    /// Its description; `name` is [`NetworkSpec::name`].
    pub spec: NetworkSpec,
    /// Its labels, parsed.
    pub owner: Owner,
    /// Compose's key of it.
    pub key: Option<String>,
}

/// A volume that the Engine has.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedVolume {
    /// Its description; `name` is [`VolumeSpec::name`].
    pub spec: VolumeSpec,
    /// Its labels, parsed.
    pub owner: Owner,
    /// Compose's key of it.
    pub key: Option<String>,
}

/// Whose an object is, as its labels say it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// `com.docker.compose.project` (or Podman's family of labels).
    pub project: Option<ProjectName>,
    /// `agentctl.owner`, `<host>/<stack>`: the agent made it.
    pub agent: Option<String>,
    /// `com.docker.compose.config-hash`.
    pub config_hash: Option<String>,
}

/// An image that the Engine has, and what it says of containers made from it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageFacts {
    /// The image's id.
    pub id: Option<ImageId>,
    /// `RepoTags`.
    pub tags: Vec<String>,
    /// `RepoDigests`.
    pub digests: Vec<String>,
    /// `Config.Cmd`.
    pub command: Vec<String>,
    /// `Config.Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Config.Env`.
    pub environment: BTreeMap<String, String>,
    /// `Config.Labels`.
    pub labels: BTreeMap<String, String>,
    /// `Config.ExposedPorts`.
    pub exposed_ports: Vec<String>,
    /// `Config.Volumes`: targets of anonymous volumes.
    pub volumes: Vec<String>,
    /// `Config.User`.
    pub user: String,
    /// `Config.WorkingDir`.
    pub working_dir: String,
    /// `Config.StopSignal`.
    pub stop_signal: String,
    /// `Config.Healthcheck`.
    pub healthcheck: Option<Healthcheck>,
    /// `linux/amd64`.
    pub platform: String,
    /// `Created`, or when it was last tagged where the Engine says so.
    pub tagged_at: Option<crate::ids::Time>,
}

/// One option of a network or a volume that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionDifference {
    /// In Compose's words: `driver_opts.mtu`, `ipam.config`.
    pub field: String,
    /// What is declared; empty: nothing.
    pub want: Text,
    /// What the Engine has.
    pub have: Text,
}

/// In what a network is not as declared. What is not declared is the Engine's to choose, labels and options aside.
#[must_use]
pub fn network_differences(want: &NetworkSpec, have: &NetworkSpec) -> Vec<OptionDifference> {
    let mut found = Vec::new();
    text(&mut found, "driver", want.driver.as_ref(), have.driver.as_ref(), "bridge");
    texts_by_name(&mut found, "driver_opts", &want.driver_opts, &have.driver_opts);
    text(&mut found, "ipam.driver", want.ipam_driver.as_ref(), have.ipam_driver.as_ref(), "default");
    let line = |value: bool| Text::from(value.to_string());
    for (field, ours, theirs) in [
        ("internal", want.internal, have.internal),
        ("attachable", want.attachable, have.attachable),
        ("enable_ipv6", want.enable_ipv6.unwrap_or(false), have.enable_ipv6.unwrap_or(false)),
        ("enable_ipv4", want.enable_ipv4.unwrap_or(true), have.enable_ipv4.unwrap_or(true)),
    ] {
        push(&mut found, field, line(ours), &line(theirs));
    }
    if !want.pools.is_empty() && !same_pools(&want.pools, &have.pools) {
        push(&mut found, "ipam.config", pools(&want.pools), &pools(&have.pools));
    }
    texts_by_name(&mut found, "labels", &want.labels, &have.labels);
    found
}

/// In what a volume is not as declared.
#[must_use]
pub fn volume_differences(want: &VolumeSpec, have: &VolumeSpec) -> Vec<OptionDifference> {
    let mut found = Vec::new();
    text(&mut found, "driver", want.driver.as_ref(), have.driver.as_ref(), "local");
    texts_by_name(&mut found, "driver_opts", &want.driver_opts, &have.driver_opts);
    texts_by_name(&mut found, "labels", &want.labels, &have.labels);
    found
}

fn push(found: &mut Vec<OptionDifference>, field: impl Into<String>, want: Text, have: &Text) {
    if want != *have {
        let have = Text::with_secrecy(have.expose(), want.is_secret());
        found.push(OptionDifference { field: field.into(), want, have });
    }
}

fn text(
    found: &mut Vec<OptionDifference>,
    field: &str,
    want: Option<&Text>,
    have: Option<&Text>,
    default: &str,
) {
    let or = |value: Option<&Text>| value.cloned().unwrap_or_else(|| default.into());
    push(found, field, or(want), &or(have));
}

fn texts_by_name(
    found: &mut Vec<OptionDifference>,
    field: &str,
    want: &BTreeMap<Key, Text>,
    have: &BTreeMap<Key, Text>,
) {
    // Engine 28 writes these of its own accord.
    let own = |name: &&Key| !name.starts_with("com.docker.network.enable_ipv") || want.contains_key(*name);
    let names: BTreeSet<&Key> = want.keys().chain(have.keys()).filter(own).collect();
    for name in names {
        let of = |map: &BTreeMap<Key, Text>| map.get(name).cloned().unwrap_or_default();
        push(found, format!("{field}.{name}"), of(want), &of(have));
    }
}

/// A gateway that is not declared is the Engine's to choose.
fn same_pools(want: &[Pool], have: &[Pool]) -> bool {
    let same = |ours: &Pool, theirs: &Pool| {
        ours.subnet == theirs.subnet
            && (ours.gateway.is_empty() || ours.gateway == theirs.gateway)
            && ours.ip_range == theirs.ip_range
            && ours.aux_addresses == theirs.aux_addresses
    };
    want.iter().all(|ours| have.iter().any(|theirs| same(ours, theirs)))
}

fn pools(pools: &[Pool]) -> Text {
    let line = |pool: &Pool| {
        let aux: String = pool.aux_addresses.iter().map(|(name, ip)| format!(" {name}={ip}")).collect();
        format!("{} gateway={} range={}{aux}", pool.subnet, pool.gateway, pool.ip_range)
    };
    pools.iter().map(line).collect::<Vec<_>>().join(", ").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(found: &[OptionDifference]) -> Vec<&str> {
        found.iter().map(|difference| difference.field.as_str()).collect()
    }

    #[test]
    fn what_is_not_declared_is_the_engines_to_choose() {
        let want = NetworkSpec::default();
        let have = NetworkSpec {
            driver: Some("bridge".into()),
            ipam_driver: Some("default".into()),
            pools: vec![Pool {
                subnet: "172.18.0.0/16".into(),
                gateway: "172.18.0.1".into(),
                ..Pool::default()
            }],
            driver_opts: [("com.docker.network.enable_ipv6".into(), "false".into())].into(),
            enable_ipv6: Some(false),
            ..NetworkSpec::default()
        };
        assert_eq!(network_differences(&want, &have), []);
    }

    #[test]
    fn options_that_came_changed_or_went_are_named() {
        let want = NetworkSpec {
            internal: true,
            pools: vec![Pool { subnet: "10.0.0.0/24".into(), ..Pool::default() }],
            labels: [("zone".into(), "two".into())].into(),
            ..NetworkSpec::default()
        };
        let have = NetworkSpec {
            pools: vec![Pool { subnet: "10.0.1.0/24".into(), ..Pool::default() }],
            driver_opts: [("mtu".into(), "1400".into())].into(),
            labels: [("zone".into(), "one".into())].into(),
            ..NetworkSpec::default()
        };
        let found = network_differences(&want, &have);
        assert_eq!(fields(&found), ["driver_opts.mtu", "internal", "ipam.config", "labels.zone"]);
        let volume = VolumeSpec { driver: Some("nfs".into()), ..VolumeSpec::default() };
        assert_eq!(fields(&volume_differences(&volume, &VolumeSpec::default())), ["driver"]);
    }
}
