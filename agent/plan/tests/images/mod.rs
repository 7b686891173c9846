//! Where do images come from, when do they come anew, and what waits for them? On an Engine in memory.

use plan::{
    build::Build,
    desired::{Archive, ArchivedImage, DeclaredImages},
    resource::ImageFacts,
    status::{Phase, TransitionEvent},
};

use crate::world::World;

const TWO: &str = "
name: p
x-agent: {images: [web.tar]}
services:
  web: {image: 'web:1', pull_policy: always}
  db: {image: 'db:1'}
";

fn archive(path: &str, images: Result<(&str, &str), &str>) -> (std::path::PathBuf, Archive) {
    let images = images
        .map(|(tag, id)| vec![ArchivedImage { ids: vec![id.into()], tags: vec![tag.to_owned()] }])
        .map_err(str::to_owned);
    (path.into(), Archive { path: path.into(), images })
}

#[test]
fn an_archive_is_loaded_once_never_pulled_and_a_changed_one_recreates_its_consumer_only() {
    let mut world = World::new(&["db:1"]);
    world.inputs.archives = [archive("/store/web.tar", Ok(("web:1", "sha256:a")))].into();
    world.converge(TWO);
    assert!(world.done.contains(&"load image web:1 from /store/web.tar".to_owned()), "{:?}", world.done);
    assert!(!world.done.iter().any(|act| act.starts_with("pull")), "{:?}", world.done);
    assert_eq!(world.memory.brought["sha256:a"].reference, "web:1");
    let (web, db) = (world.id("p-web-1"), world.id("p-db-1"));
    let done = world.done.len();
    world.converge(TWO);
    assert_eq!(world.done.len(), done, "it is loaded once");

    world.inputs.archives = [archive("/store/next.tar", Ok(("docker.io/library/web:1", "sha256:b")))].into();
    world.converge(TWO);
    assert_ne!(world.id("p-web-1"), web);
    assert_eq!(world.id("p-db-1"), db);
}

#[test]
fn an_engine_that_calls_the_image_otherwise_is_believed() {
    let mut world = World::new(&["db:1"]);
    let (path, mut one) = archive("/store/web.tar", Ok(("web:1", "sha256:config")));
    // The Engine in memory calls it by the last one, which the next look at the archive does not tell.
    one.images.as_mut().unwrap()[0].ids.push("sha256:manifest".into());
    world.inputs.archives = [(path.clone(), one.clone())].into();
    world.converge(TWO);
    one.images.as_mut().unwrap()[0].ids.pop();
    world.inputs.archives = [(path, one)].into();
    let done = world.done.len();
    world.converge(TWO);
    assert_eq!(world.done.len(), done, "{:?}", world.done);
}

#[test]
fn an_archive_that_cannot_be_used_stops_what_needs_it_and_nothing_else() {
    let mut world = World::new(&["db:1"]);
    world.inputs.archives = [archive("/store/web.tar", Err("it is damaged"))].into();
    let status = (0..4).map(|_| world.pass(TWO, usize::MAX).1).last().unwrap();
    assert_eq!(status.phase, Phase::Failed);
    assert!(status.reason.contains("/store/web.tar: it is damaged"), "{}", status.reason);
    assert_eq!(world.names(), ["p-db-1".to_owned()].into());
    assert!(
        !world.done.iter().any(|act| act.starts_with("pull")),
        "a registry may have another one of that name"
    );
    // One that the Engine refuses leaves what runs, and is tried again later.
    world.inputs.archives = [archive("/store/web.tar", Ok(("web:1", "sha256:a")))].into();
    world.converge(TWO);
    let web = world.id("p-web-1");
    world.inputs.archives = [archive("/store/refused.tar", Ok(("web:1", "sha256:b")))].into();
    let status = (0..3).map(|_| world.pass(TWO, usize::MAX).1).last().unwrap();
    assert_eq!(world.id("p-web-1"), web);
    assert!(status.drift.iter().any(|open| open.verdict.contains("no space left")), "{status:#?}");
}

const BUILT: &str = "
name: p
services:
  web: {build: ., pull_policy: POLICY}
  lib: {build: ./lib}
";

fn build(reference: &str, digest: &str, bases: &[&str]) -> Build {
    let bases = bases.iter().map(|base| (*base).to_owned()).collect();
    Build { reference: reference.into(), digest: digest.into(), bases, ..Build::default() }
}

fn builds(web: &str) -> std::collections::BTreeMap<String, Result<Build, String>> {
    let web = build("p-web", web, &["p-lib", "base:1"]);
    [("web".to_owned(), Ok(web)), ("lib".to_owned(), Ok(build("p-lib", "l1", &[])))].into()
}

#[test]
fn an_image_is_built_after_its_bases_once_and_again_when_its_input_changes() {
    let yaml = BUILT.replace("POLICY", "missing");
    let mut world = World::new(&[]);
    world.inputs.builds = builds("w1");
    world.converge(&yaml);
    let brought: Vec<_> = world.done.iter().filter(|act| act.contains("image")).cloned().collect();
    assert_eq!(brought.len(), 3, "{brought:?}");
    assert_eq!(brought.last().map(String::as_str), Some("build image p-web"), "{brought:?}");
    let (web, lib, done) = (world.id("p-web-1"), world.id("p-lib-1"), world.done.len());
    world.converge(&yaml);
    assert_eq!(world.done.len(), done);

    world.inputs.builds = builds("w2");
    world.converge(&yaml);
    assert_ne!(world.id("p-web-1"), web);
    assert_eq!(world.id("p-lib-1"), lib);

    // One that fails leaves what runs, and is tried again later.
    let web = world.id("p-web-1");
    world.inputs.builds = builds("broken");
    let status = (0..3).map(|_| world.pass(&yaml, usize::MAX).1).last().unwrap();
    assert_eq!(world.id("p-web-1"), web);
    assert!(
        status.drift.iter().any(|open| open.verdict.contains("building it failed: no such file")),
        "{status:#?}"
    );
    // One that cannot be done at all is noted while there is an image, and waited for where there is none.
    world.inputs.builds.insert("web".into(), Err("build.ssh is not supported".into()));
    assert_eq!(world.converge(&yaml).phase, Phase::Converged);
}

#[test]
fn an_image_that_compose_has_built_is_kept_until_its_input_changes() {
    for (policy, acts) in [("missing", false), ("build", true)] {
        let yaml = BUILT.replace("POLICY", policy);
        let mut world = World::new(&["p-web", "p-lib", "base:1"]);
        world.inputs.builds = builds("w1");
        world.converge(&yaml);
        assert_eq!(world.done.iter().any(|act| act == "build image p-web"), acts, "{:?}", world.done);
        assert!(!world.done.iter().any(|act| act == "build image p-lib"), "{:?}", world.done);
        let web = world.id("p-web-1");
        world.inputs.builds = builds("w2");
        world.converge(&yaml);
        assert_ne!(world.id("p-web-1"), web, "{policy}");
    }
}

const PRUNED: &str = "
name: p
x-agent: {images: [web.tar], prune_images: POLICY, update: {keep_old: false}}
services: {web: {image: 'web:1'}}
";

/// A stack whose image comes in one version after the other, an hour between them.
fn renewed(policy: &str, versions: &[&str]) -> (World, String) {
    let yaml = PRUNED.replace("POLICY", policy);
    let mut world = World::new(&[]);
    world.inputs.declared_images = DeclaredImages::Known(["web:1".to_owned()].into());
    for id in versions {
        world.inputs.archives = [archive(&format!("/store/{id}.tar"), Ok(("web:1", *id)))].into();
        world.converge(&yaml);
        world.now = world.now.plus_ms(3_600_000);
    }
    (world, yaml)
}

fn removed(world: &World) -> Vec<&str> {
    world.done.iter().filter_map(|act| act.strip_prefix("remove image web:1, ")).collect()
}

#[test]
fn a_superseded_image_goes_once_it_is_old_and_not_among_the_last() {
    for (policy, gone) in [
        ("{older_than: 0s, keep_last: 0}", vec!["a", "b", "c"]),
        ("{older_than: 0s, keep_last: 2}", vec!["a"]),
        ("{older_than: 90m, keep_last: 0}", vec!["a", "b"]),
        ("{older_than: 90m, keep_last: 2}", vec!["a"]),
        ("{older_than: 720h, keep_last: 0}", vec![]),
        ("never", vec![]),
    ] {
        let (mut world, yaml) = renewed(policy, &["a", "b", "c", "d"]);
        world.converge(&yaml);
        assert_eq!(removed(&world), gone, "{policy}");
        let said = |words: &str| {
            let done = world.said.iter().filter(|said| said.event == TransitionEvent::Done);
            done.filter(|said| said.message.contains(words)).count()
        };
        assert_eq!(said("remove image"), gone.len(), "one line each");
        assert_eq!(world.memory.brought.len(), 4 - gone.len(), "what is gone is forgotten");
    }
}

#[test]
fn an_image_that_somebody_uses_declares_or_has_named_is_kept() {
    const ALL: &str = "{older_than: 0s, keep_last: 0}";
    let unless = |change: &dyn Fn(&mut World)| {
        let (mut world, yaml) = renewed(&ALL.replace("0s", "1h"), &["a", "b"]);
        change(&mut world);
        world.now = world.now.plus_ms(3_600_000);
        let status = world.converge(&yaml);
        (removed(&world).len(), status)
    };
    assert_eq!(unless(&|_| {}).0, 1, "the control");
    let foreign = |world: &mut World| {
        world.add_foreign("somebody");
        world.change("somebody", |container| container.image_id = "a".into());
    };
    assert_eq!(unless(&foreign).0, 0, "a container runs it");
    let tagged = |world: &mut World, name: &str| {
        let tags = vec![name.to_owned()];
        let facts = ImageFacts { id: Some("a".into()), tags, ..ImageFacts::default() };
        world.observed.images.insert("a".to_owned(), facts);
    };
    assert_eq!(unless(&|world| tagged(world, "mine:1")).0, 0, "somebody has given it a name");
    let elsewhere = |world: &mut World| {
        tagged(world, "other:1");
        let declared = ["web:1", "docker.io/library/other:1"].map(str::to_owned);
        world.inputs.declared_images = DeclaredImages::Known(declared.into());
    };
    assert_eq!(unless(&elsewhere).0, 0, "another stack declares it");
    assert_eq!(unless(&|world| world.inputs.declared_images = DeclaredImages::Unread).0, 0);
    let broken = |world: &mut World| world.inputs.declared_images = DeclaredImages::Unknown("db".into());
    let (gone, status) = unless(&broken);
    let why = "no image is removed while the stack db, which may declare it, does not load";
    assert!(gone == 0 && status.drift.iter().any(|open| open.verdict.contains(why)), "{status:#?}");
}

#[test]
fn an_image_that_is_used_again_counts_as_new_and_one_that_the_engine_keeps_is_let_be() {
    let (mut world, yaml) = renewed("{older_than: 90m, keep_last: 0}", &["a", "b", "a"]);
    world.converge(&yaml);
    assert_eq!(world.memory.brought["a"].unused_since, None, "a rollback has brought it back");
    assert!(world.memory.brought["b"].unused_since.is_some());

    let (mut world, yaml) = renewed("{older_than: 0s, keep_last: 0}", &["built-upon", "b"]);
    let status = world.converge(&yaml);
    assert_eq!((removed(&world), status.phase), (vec!["built-upon"], Phase::Converged), "it is tried once");
}

#[test]
fn what_a_registry_has_by_a_tag_is_said_and_nothing_is_done() {
    let yaml = "{name: p, services: {web: {image: 'web:1'}, own: {image: 'own:1'}}}";
    let mut world = World::new(&["web:1", "own:1"]);
    let pulled = ImageFacts {
        id: Some("sha256:web:1".into()),
        digests: vec!["web@sha256:old".to_owned()],
        ..ImageFacts::default()
    };
    world.observed.images.insert("web:1".to_owned(), pulled);
    let answers = |digest: Result<&str, &str>| {
        let digest = digest.map(str::to_owned).map_err(str::to_owned);
        [("web:1".to_owned(), digest.clone()), ("own:1".to_owned(), digest)].into()
    };
    for (answer, said) in [
        (Ok("sha256:old"), None),
        (Ok("sha256:new"), Some("the registry has another image by this tag")),
        (Err("no such host"), Some("the registry cannot be asked: no such host")),
    ] {
        world.inputs.registry = answers(answer);
        let status = world.converge(yaml);
        let found: Vec<_> = status.drift.iter().map(|open| open.verdict.as_str()).collect();
        assert_eq!(found.len(), usize::from(said.is_some()), "own:1 was never pulled: {found:?}");
        assert!(said.is_none_or(|said| found[0].contains(said)), "{found:?}");
        assert_eq!(status.phase, Phase::Converged);
    }
    assert!(!world.done.iter().any(|act| act.starts_with("pull")), "{:?}", world.done);
}
