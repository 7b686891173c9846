use super::*;
use crate::{
    container::{Endpoint, Mount, MountKind, fold::fold},
    observed::EngineFacts,
};

const SAME: Comparison = Comparison { hash: HashMatch::Same, image: ImageKnown::Yes };
const DIFFERS: Comparison = Comparison { hash: HashMatch::Differs, image: ImageKnown::Yes };

fn engine() -> EngineFacts {
    EngineFacts {
        default_runtime: "runc".into(),
        default_log_driver: "json-file".into(),
        ..EngineFacts::default()
    }
}

fn made(want: &ContainerSpec) -> ContainerSpec {
    fold(want, None, &engine())
}

fn fields(want: &ContainerSpec, have: &ContainerSpec, known: Comparison) -> Vec<String> {
    let want = fold(want, None, &engine());
    differences(&want, have, known).into_iter().map(|d| format!("{}: {:?}", d.field, d.repair)).collect()
}

#[test]
fn what_the_engine_made_of_it_is_not_different() {
    let want = ContainerSpec::default();
    assert_eq!(fields(&want, &made(&want), DIFFERS), Vec::<String>::new());
}

#[test]
fn a_limit_is_set_on_the_living_container_and_taken_away_only_by_a_new_one() {
    let mut want = ContainerSpec::default();
    want.resources.memory = 1 << 27;
    let mut have = made(&want);
    have.resources.memory = 1 << 26;
    have.resources.memory_swap = 1 << 27;
    assert_eq!(fields(&want, &have, SAME), ["mem_limit: Update"]);
    want.resources.memory = 0;
    assert_eq!(fields(&want, &have, SAME), ["mem_limit: Recreate"]);
}

#[test]
fn a_lost_network_is_connected_and_lost_aliases_too() {
    let mut want = ContainerSpec::default();
    let aliases = ["web".into(), "demo-web-1".into()].into();
    want.networks.insert("demo_front".into(), Endpoint { aliases, ..Endpoint::default() });
    let mut have = made(&want);
    have.networks.get_mut("demo_front").unwrap().aliases = ["0123456789ab".into()].into();
    assert_eq!(fields(&want, &have, SAME), ["networks.demo_front.aliases: Reconnect(\"demo_front\")"]);
    have.networks.clear();
    assert_eq!(fields(&want, &have, SAME), ["networks.demo_front: Connect(\"demo_front\")"]);
}

#[test]
fn a_secret_is_masked_on_both_sides() {
    let mut want = ContainerSpec::default();
    want.environment.insert("DB".into(), Some(Text::secret("new")));
    let mut have = made(&want);
    have.environment.insert("DB".into(), Some("old".into()));
    have.environment.insert("GONE".into(), Some("was-secret-once".into()));
    let found = differences(&want, &have, SAME);
    let shown = format!("{found:?}");
    assert!(!shown.contains("old") && !shown.contains("was-secret"), "{shown}");
    let variables = found.iter().filter(|found| found.field.starts_with("environment."));
    let of_secret: Vec<_> = variables.map(|found| (found.field.as_str(), found.of_secret)).collect();
    assert_eq!(
        of_secret,
        [("environment.DB", true), ("environment.GONE", false)],
        "what is gone has no new value"
    );
}

#[test]
fn an_addition_of_the_engines_differs_only_where_the_declaration_changed() {
    let want = ContainerSpec::default();
    let mut have = made(&want);
    have.logging.as_mut().unwrap().options.insert("max-size".into(), "10m".into());
    assert_eq!(fields(&want, &have, SAME), Vec::<String>::new());
    assert_eq!(fields(&want, &have, DIFFERS), ["logging.options.max-size: Recreate"]);
}

#[test]
fn an_anonymous_volume_that_was_carried_over_is_not_different() {
    let mut want = ContainerSpec::default();
    let anonymous = Mount { kind: MountKind::Volume, ..Mount::default() };
    want.mounts.insert("/data".into(), anonymous.clone());
    let mut have = made(&want);
    have.mounts.insert("/data".into(), Mount { source: Some("a".repeat(64).into()), ..anonymous.clone() });
    have.mounts.insert("/image".into(), anonymous);
    assert_eq!(fields(&want, &have, DIFFERS), Vec::<String>::new());
}

#[test]
fn spellings_that_mean_the_same_do_not_differ() {
    let mut want = ContainerSpec {
        image: "nginx".into(),
        stop_signal: Some("SIGQUIT".into()),
        cap_add: ["NET_ADMIN".into()].into(),
        exposed_ports: ["80".to_owned()].into(),
        ..ContainerSpec::default()
    };
    want.port_bindings.insert("80/tcp".into(), vec![crate::container::PortBinding::default()]);
    let mut have = made(&want);
    have.image = "docker.io/library/nginx:latest".into();
    have.stop_signal = Some("3".into());
    have.cap_add = ["CAP_NET_ADMIN".into()].into();
    have.exposed_ports = ["80/tcp".to_owned()].into();
    have.port_bindings.insert(
        "80/tcp".into(),
        vec![crate::container::PortBinding { host_ip: "0.0.0.0".into(), host_port: "0".into() }],
    );
    assert_eq!(fields(&want, &have, SAME), Vec::<String>::new());
}
