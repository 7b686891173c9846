//! Where do images come from, when do they come anew, and what waits for them? On an Engine in memory.

use plan::{
    desired::{Archive, ArchivedImage},
    status::Phase,
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
