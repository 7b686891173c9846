//! What would the Engine make of a declared container?
//!
//! The image's and the Engine's own defaults are put where the declaration says nothing, by the Engine's rules of
//! merging, so that the result can be held against what the Engine reports.

use std::collections::BTreeSet;

use specs::Text;

use super::{ContainerSpec, Healthcheck, Logging, RestartPolicy};
use crate::{
    labels,
    observed::{EngineFacts, Limit},
    resource::ImageFacts,
};

/// Fills in what the Engine fills in. Where the image is not known (it was removed from the Engine), its part is left
/// out: say so in [`super::fields::Comparison::image`].
#[must_use]
pub fn fold(spec: &ContainerSpec, image: Option<&ImageFacts>, engine: &EngineFacts) -> ContainerSpec {
    let mut folded = spec.clone();
    if let Some(image) = image {
        fold_image(&mut folded, image);
    }
    fold_engine(&mut folded, engine);
    folded
}

fn fold_image(spec: &mut ContainerSpec, image: &ImageFacts) {
    fold_command(spec, image);
    for (key, value) in &image.environment {
        spec.environment.entry(key.into()).or_insert_with(|| Some(Text::plain(value)));
    }
    for (key, value) in image.labels.iter().filter(|(key, _)| !labels::is_reserved(key)) {
        spec.labels.entry(key.into()).or_insert_with(|| Text::plain(value));
    }
    spec.exposed_ports.extend(image.exposed_ports.iter().cloned());
    or_default(&mut spec.user, &image.user);
    or_default(&mut spec.working_dir, &image.working_dir);
    or_default(&mut spec.stop_signal, &image.stop_signal);
    spec.healthcheck = match (spec.healthcheck.take(), &image.healthcheck) {
        (Some(own), Some(theirs)) => Some(fold_healthcheck(own, theirs)),
        (Some(own), None) => Some(own),
        (None, theirs) => theirs.clone(),
    };
}

/// An own entrypoint takes the image's command away; an own command does not take its entrypoint away.
fn fold_command(spec: &mut ContainerSpec, image: &ImageFacts) {
    let list = |values: &[String]| values.iter().map(Text::plain).collect::<Vec<_>>();
    if spec.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if spec.command.as_ref().is_none_or(Vec::is_empty) {
            spec.command = Some(list(&image.command));
        }
        if spec.entrypoint.is_none() {
            spec.entrypoint = Some(list(&image.entrypoint));
        }
    }
}

fn fold_healthcheck(own: Healthcheck, image: &Healthcheck) -> Healthcheck {
    let or = |own: i64, theirs: i64| if own == 0 { theirs } else { own };
    Healthcheck {
        test: if own.test.is_empty() { image.test.clone() } else { own.test },
        interval: or(own.interval, image.interval),
        timeout: or(own.timeout, image.timeout),
        start_period: or(own.start_period, image.start_period),
        start_interval: or(own.start_interval, image.start_interval),
        retries: or(own.retries, image.retries),
    }
}

/// `None` or an empty text is "not declared" for those of the image's fields that are texts.
fn or_default(own: &mut Option<Text>, default: &str) {
    if own.as_ref().is_none_or(Text::is_empty) && !default.is_empty() {
        *own = Some(Text::plain(default));
    }
}

fn fold_engine(spec: &mut ContainerSpec, engine: &EngineFacts) {
    spec.command.get_or_insert_default();
    spec.entrypoint.get_or_insert_default();
    for (field, default) in [
        (&mut spec.user, ""),
        (&mut spec.working_dir, ""),
        (&mut spec.stop_signal, "SIGTERM"),
        (&mut spec.uts, ""),
        (&mut spec.userns, ""),
        (&mut spec.volume_driver, ""),
        (&mut spec.domainname, ""),
        (&mut spec.runtime, engine.default_runtime.as_str()),
    ] {
        if field.as_ref().is_none_or(Text::is_empty) {
            *field = Some(Text::plain(default));
        }
    }
    spec.stop_timeout.get_or_insert(10);
    spec.restart.get_or_insert_with(RestartPolicy::default);
    fold_api(spec, engine.api);
    let logging = spec.logging.get_or_insert_with(Logging::default);
    if logging.driver.is_empty() {
        logging.driver = Text::plain(&engine.default_log_driver);
    }
    fold_resources(spec, engine);
}

/// What this Engine's API does not know yet is not sent to it, and not missed.
fn fold_api(spec: &mut ContainerSpec, api: (u32, u32)) {
    if api < (1, 43) {
        spec.annotations.clear();
    }
    if api < (1, 44) {
        if let Some(check) = &mut spec.healthcheck {
            check.start_interval = 0;
        }
        spec.mac_address = hardware_address(spec);
        spec.networks.values_mut().for_each(|endpoint| endpoint.mac_address = None);
    }
    if api < (1, 48) {
        spec.networks.values_mut().for_each(|endpoint| endpoint.gw_priority = 0);
    }
}

/// The container's own hardware address, which before API 1.44 is the only one that it can have: declared for the
/// service, or for its place in the primary network.
pub fn hardware_address(spec: &ContainerSpec) -> Option<Text> {
    let primary = spec.primary_network.as_ref().and_then(|name| spec.networks.get(name));
    spec.mac_address.clone().or_else(|| primary?.mac_address.clone())
}

/// What this kernel cannot limit, the Engine drops with a warning when it makes the container.
fn fold_resources(spec: &mut ContainerSpec, engine: &EngineFacts) {
    let resources = &mut spec.resources;
    let lacks = |limit: Limit| engine.unsupported.contains(&limit);
    if lacks(Limit::Memory) {
        resources.memory = 0;
        resources.memory_reservation = 0;
    }
    if lacks(Limit::Memory) || lacks(Limit::Swap) {
        resources.memory_swap = 0;
    }
    if lacks(Limit::Swappiness) || engine.cgroup_version == 2 {
        resources.memory_swappiness = None;
    }
    if lacks(Limit::CpuShares) {
        resources.cpu_shares = 0;
    }
    if resources.cpu_shares != 0 {
        resources.cpu_shares = resources.cpu_shares.clamp(2, 262_144);
    }
    if lacks(Limit::CpuQuota) {
        resources.cpu_quota = 0;
        resources.cpu_period = 0;
    }
    if lacks(Limit::Cpuset) {
        resources.cpuset = None;
    }
    if lacks(Limit::Pids) {
        resources.pids_limit = None;
    }
    if lacks(Limit::OomKillDisable) || engine.cgroup_version == 2 {
        resources.oom_kill_disable = false;
    }
    if lacks(Limit::BlkioWeight) {
        resources.blkio_weight = 0;
        resources.blkio_devices = std::collections::BTreeMap::new();
    }
    if resources.shm_size == 0 {
        resources.shm_size = 64 << 20;
    }
}

/// A port as the Engine writes it: with its protocol.
pub(super) fn port(text: &str) -> String {
    if text.contains('/') { text.to_lowercase() } else { format!("{text}/tcp") }
}

/// Ports as the Engine writes them; a range is every port in it.
pub(super) fn ports(texts: &BTreeSet<String>) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for text in texts {
        let text = port(text);
        let Some((range, protocol)) = text.split_once('/') else { continue };
        let bounds = range.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        match bounds {
            Some::<(u16, u16)>((first, last)) => {
                out.extend((first..=last).map(|n| format!("{n}/{protocol}")));
            }
            None => {
                out.insert(text);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageFacts {
        ImageFacts {
            command: vec!["serve".into()],
            entrypoint: vec!["/init".into()],
            environment: [("PATH".to_owned(), "/bin".to_owned()), ("A".to_owned(), "image".to_owned())]
                .into(),
            user: "app".into(),
            healthcheck: Some(Healthcheck {
                test: vec!["CMD".into()],
                interval: 5,
                ..Healthcheck::default()
            }),
            ..ImageFacts::default()
        }
    }

    #[test]
    fn what_only_cgroup_1_can_do_is_not_missed_on_cgroup_2() {
        let mut spec = ContainerSpec::default();
        spec.resources.memory_swappiness = Some(60);
        spec.resources.oom_kill_disable = true;
        let on = |cgroup_version| {
            let engine = EngineFacts { cgroup_version, ..EngineFacts::default() };
            let resources = fold(&spec, None, &engine).resources;
            (resources.memory_swappiness, resources.oom_kill_disable)
        };
        assert_eq!((on(1), on(2)), ((Some(60), true), (None, false)));
    }

    #[test]
    fn an_own_entrypoint_takes_the_images_command_away() {
        let spec = ContainerSpec { entrypoint: Some(vec!["sh".into()]), ..ContainerSpec::default() };
        let folded = fold(&spec, Some(&image()), &EngineFacts::default());
        assert_eq!(folded.command, Some(vec![]));
        assert_eq!(folded.entrypoint, Some(vec!["sh".into()]));
    }

    #[test]
    fn an_empty_entrypoint_keeps_the_images_command() {
        let spec = ContainerSpec { entrypoint: Some(vec![]), ..ContainerSpec::default() };
        let folded = fold(&spec, Some(&image()), &EngineFacts::default());
        assert_eq!(folded.command, Some(vec!["serve".into()]));
        assert_eq!(folded.entrypoint, Some(vec![]));
    }

    #[test]
    fn own_values_win_and_a_bare_variable_takes_the_images_away() {
        let mut spec = ContainerSpec::default();
        spec.environment.insert("A".into(), None);
        spec.healthcheck = Some(Healthcheck { retries: 7, ..Healthcheck::default() });
        let folded = fold(&spec, Some(&image()), &EngineFacts::default());
        assert_eq!(folded.environment["A"], None);
        assert_eq!(folded.environment["PATH"], Some("/bin".into()));
        let check = folded.healthcheck.unwrap();
        assert_eq!((check.interval, check.retries), (5, 7));
        assert_eq!(folded.user, Some("app".into()));
    }

    #[test]
    fn a_limit_that_the_kernel_lacks_is_not_wanted() {
        let mut spec = ContainerSpec::default();
        spec.resources.memory = 1 << 27;
        let engine = EngineFacts { unsupported: [Limit::Memory].into(), ..EngineFacts::default() };
        assert_eq!(fold(&spec, None, &engine).resources.memory, 0);
        assert_eq!(fold(&spec, None, &EngineFacts::default()).resources.memory, 1 << 27);
    }

    #[test]
    fn ports_are_written_as_the_engine_does() {
        let have = ports(&["7000".to_owned(), "1-3/UDP".to_owned()].into());
        assert_eq!(have.into_iter().collect::<Vec<_>>(), ["1/udp", "2/udp", "3/udp", "7000/tcp"]);
    }
}
