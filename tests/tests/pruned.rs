//! What becomes of images that the agent brought and that nothing uses any more?

use tests::{
    Engine, Profile, Programs,
    image::Image,
    registry::{HOST, Registry},
};

/// A stack whose image comes from an archive in its first version, and from a registry in the others.
struct Lab {
    engine: Engine,
    profile: Profile,
    programs: Programs,
    registry: Registry,
}

const SPEC: &str = "x-agent: {images: [web.tar], prune_images: {older_than: 0s, keep_last: 0}, update: {monitor: 1s}}\nservices: {web: {image: 'IMAGE', restart: always, pull_policy: always}}\n";
const OTHER: &str = "services: {other: {image: 'standin:1', restart: always}}\n";

impl Lab {
    fn new() -> Self {
        let engine = Engine::start(&[]);
        let profile = Profile::new(engine.folder());
        let programs = Programs::new(&engine, &profile);
        let registry = Registry::start(&engine);
        Self { engine, profile, programs, registry }
    }

    /// A generation whose web is made from this image: out of an archive, or pulled.
    fn declare(&self, generation: &str, reference: &str, image: &Image) {
        let spec = SPEC.replace("IMAGE", reference);
        if reference.starts_with(HOST) {
            self.registry.push("app", "1", image);
            self.profile.write(generation, "shop", "compose.yaml", &spec.replace("images: [web.tar], ", ""));
        } else {
            self.profile.write(generation, "shop", "compose.yaml", &spec);
            let folder = self.profile.link().with_file_name(generation).join("etc/compose-agent/shop");
            image.archive(reference, &folder.join("web.tar"));
        }
        self.profile.write(generation, "other", "compose.yaml", OTHER);
        self.profile.switch(generation);
    }

    fn converge(&self) -> String {
        let (status, said) = self.programs.once(&[]);
        assert_eq!(status, Some(0), "{said}");
        said
    }

    /// Runs again until an image is gone: a pass removes none while another stack is being read.
    fn until_gone(&self, image: &Image) {
        self.programs.wait_until("the image is removed", || {
            self.programs.once(&[]);
            !self.has(image)
        });
    }

    /// Whether the agent remembers this of an image that it brought.
    fn remembers(&self, image: &Image, field: &str) -> bool {
        let text = std::fs::read(self.engine.folder().join("state/memory.json")).expect("it is there");
        let memory: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
        !memory["stacks"]["shop"]["brought"][format!("sha256:{}", image.id())][field].is_null()
    }

    fn has(&self, image: &Image) -> bool {
        self.engine.docker(&["image", "inspect", &format!("sha256:{}", image.id())]).status.success()
    }
}

#[test]
fn superseded_images_go_and_what_anybody_uses_or_has_named_stays() {
    let lab = Lab::new();
    let image = |name: &str| Image::new(&lab.engine, name);
    let [one, two, three, four, five] = ["one", "two", "three", "four", "five"].map(image);
    let pulled = format!("{HOST}/app:1");

    // One that another takes the tag of; and one whose stack means another reference now.
    lab.declare("one", "web:x", &one);
    lab.converge();
    lab.declare("two", "web:x", &two);
    lab.converge();
    lab.until_gone(&one);
    lab.declare("three", &pulled, &three);
    lab.converge();
    lab.until_gone(&two);

    // One that was pulled, while somebody's container is made from it.
    lab.engine.docker_prints(&["create", "--name", "somebody", &pulled]);
    lab.declare("four", &pulled, &four);
    lab.converge();
    lab.converge();
    assert!(lab.has(&three), "a container uses it");
    lab.engine.docker_prints(&["rm", "somebody"]);
    lab.until_gone(&three);

    // One that somebody has given a name.
    lab.engine.docker_prints(&["tag", &pulled, "mine:1"]);
    lab.declare("five", &pulled, &five);
    lab.converge();

    // One that a stack which does not load may declare.
    let without = SPEC
        .replace("IMAGE", "standin:1")
        .replace(", pull_policy: always", "")
        .replace("images: [web.tar], ", "");
    lab.profile.write("kept", "shop", "compose.yaml", &without.replace("keep_last: 0", "keep_last: 1"));
    lab.profile.write("kept", "other", "compose.yaml", OTHER);
    lab.profile.switch("kept");
    lab.programs.wait_until("it is known to be unused", || {
        lab.converge();
        lab.remembers(&five, "unused_since")
    });
    lab.profile.write("broken", "shop", "compose.yaml", &without);
    lab.profile.write("broken", "other", "compose.yaml", "services: {other: 7}\n");
    lab.profile.switch("broken");
    lab.programs.wait_until("it is said why nothing is removed", || {
        let (status, said) = lab.programs.once(&[]);
        assert_eq!(status, Some(4), "{said}");
        said.contains("no image is removed while the stack other")
    });
    assert!(lab.has(&four) && lab.has(&five));

    // The stack leaves the profile, and its image is nobody's any more.
    lab.profile.write("gone", "other", "compose.yaml", OTHER);
    lab.profile.switch("gone");
    lab.until_gone(&five);
    assert!(lab.has(&four), "it is still named mine:1");
    let said = lab.converge();
    assert!(!said.contains("remove image"), "{said}");
    assert!(lab.engine.docker(&["image", "inspect", "standin:1"]).status.success(), "nobody brought it");
}
