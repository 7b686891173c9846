//! Where do images come from: archives, registries, builds; and what becomes of those that nobody uses any more?

use std::fs;

use tests::{Engine, Profile, Programs, image::Image};

fn image_of(engine: &Engine, container: &str) -> String {
    engine.docker_prints(&["inspect", "--format", "{{.Image}}", container])
}

/// A host without a registry: everything comes from archives in the profile.
#[test]
fn archives_are_loaded_by_content_and_a_damaged_one_stops_only_what_needs_it() {
    let engine = Engine::start(&[]);
    let profile = Profile::new(engine.folder());
    let programs = Programs::new(&engine, &profile);
    let (one, two, other) =
        (Image::new(&engine, "one"), Image::new(&engine, "two"), Image::new(&engine, "other"));
    let at = |generation: &str, name: &str| {
        profile.link().with_file_name(generation).join("etc/compose-agent/shop").join(name)
    };
    let spec = "x-agent: {images: [web.tar.gz, other.tar], update: {monitor: 1s}}\nservices:\n  web: {image: 'web:x', restart: always, pull_policy: always}\n  other: {image: 'nowhere.invalid/other:1', restart: always}\n";
    for generation in ["one", "two", "three"] {
        profile.write(generation, "shop", "compose.yaml", spec);
        other.archive("nowhere.invalid/other:1", &at(generation, "other.tar"));
    }
    one.archive("web:x", &at("one", "web.tar.gz"));
    two.archive("web:x", &at("two", "web.tar.gz"));
    let whole = fs::read(at("two", "web.tar.gz")).unwrap();
    fs::write(at("three", "web.tar.gz"), &whole[..whole.len() / 2]).unwrap();

    profile.switch("one");
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(image_of(&engine, "shop-web-1"), format!("sha256:{}", one.id()));
    assert!(said.contains("load image web:x from"), "{said}");
    let kept = engine.id_of("shop-other-1");
    let (status, said) = programs.once(&[]);
    assert_eq!((status, said.contains("load image")), (Some(0), false), "it is loaded once: {said}");

    // Another content: its consumer is replaced, and nobody else.
    profile.switch("two");
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(image_of(&engine, "shop-web-1"), format!("sha256:{}", two.id()));
    assert_eq!(engine.id_of("shop-other-1"), kept);

    // Somebody else's tag is put right from the archive.
    engine.docker_prints(&["tag", "standin:1", "web:x"]);
    assert_eq!(programs.once(&[]).0, Some(0));
    let tagged = engine.docker_prints(&["image", "inspect", "--format", "{{.Id}}", "web:x"]);
    assert_eq!(tagged, format!("sha256:{}", two.id()));

    // A damaged archive is said, with its path, and what runs runs on.
    let web = engine.id_of("shop-web-1");
    profile.switch("three");
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(4), "{said}");
    assert!(said.contains("web.tar.gz: it is damaged"), "{said}");
    assert_eq!((engine.id_of("shop-web-1"), engine.id_of("shop-other-1")), (web, kept));
    engine.docker_prints(&["rm", "-f", "shop-web-1", "shop-other-1"]);
    engine.docker_prints(&["image", "rm", "web:x"]);
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(4), "{said}");
    assert!(engine.id_of("shop-web-1").is_empty() && !engine.id_of("shop-other-1").is_empty());
    assert!(!said.contains("pull image"), "{said}");
}
