//! What does a container see of a changed secret, for each `on_secret_change`, and as whose does it see it?

use std::{fs, os::unix::fs::PermissionsExt as _};

use tests::{Engine, Profile, Programs, secret::Key};

/// `own` and `mine` run as somebody else, and can read their files only where `uid` and `mode` count.
const SPEC: &str = "
x-agent:
  on_secret_change: {again: restart, told: 'signal:HUP', mine: 'signal:HUP', left: none}
services:
  anew: {image: 'standin:1', restart: always, secrets: [token]}
  again: {image: 'standin:1', restart: always, secrets: [token]}
  told: {image: 'standin:1', restart: always, secrets: [{source: token, mode: 0440}]}
  left: {image: 'standin:1', restart: always, secrets: [{source: token, mode: 0404}]}
  mine:
    image: standin:1
    restart: always
    user: '4712:43'
    secrets: [{source: token, target: /mine, uid: '4712', gid: '43', mode: 0400}]
  own:
    image: standin:1
    restart: always
    user: '4711'
    read_only: true
    secrets: [{source: token, target: /mine, uid: '4711', gid: '42', mode: 0400}]
secrets: {token: {file: ./token.age}}
";
const NAMES: [&str; 6] = ["anew", "again", "told", "mine", "left", "own"];

struct World {
    engine: Engine,
    profile: Profile,
    programs: Programs,
}

impl World {
    fn declare(&self, generation: &str, spec: &str, key: &Key, token: &str) {
        self.profile.write(generation, "shop", "compose.yaml", spec);
        self.profile.write(generation, "shop", "token.age", &key.encrypt(token));
    }

    /// Switches, lets the agent work, and says with which status it ends.
    fn settle(&self, generation: &str, status: i32) {
        self.profile.switch(generation);
        let (ended, said) = self.programs.once(&[]);
        assert_eq!(ended, Some(status), "{said}");
    }

    /// What the container itself reads.
    fn sees(&self, name: &str) -> String {
        let file = if ["own", "mine"].contains(&name) { "/mine" } else { "/run/secrets/token" };
        self.engine.docker_prints(&["exec", &format!("shop-{name}-1"), "/bin/standin", "--show", file])
    }

    fn fact(&self, name: &str, format: &str) -> String {
        self.engine.docker_prints(&["inspect", "--format", format, &format!("shop-{name}-1")])
    }

    fn id(&self, name: &str) -> String {
        self.engine.id_of(&format!("shop-{name}-1"))
    }

    fn placed(&self) -> usize {
        fs::read_dir(self.engine.memory().join("secrets")).map_or(0, Iterator::count)
    }
}

#[test]
fn a_changed_secret_is_seen_as_policy_says_and_its_plaintext_goes_with_its_last_user() {
    let engine = Engine::start(&[]);
    let profile = Profile::new(engine.folder());
    let key = Key::default();
    let keys = key.save(engine.folder()).display().to_string();
    let programs = Programs::new(&engine, &profile).with(&["--age-key", &keys]).with_memory(&engine);
    let world = World { engine, profile, programs };
    world.declare("one", SPEC, &key, "first-token");
    world.declare("two", SPEC, &key, "the-second-and-longer-token");
    world.declare("none", "services: {anew: {image: 'standin:1', restart: always}}\n", &key, "unused");

    world.settle("one", 0);
    for name in NAMES {
        assert_eq!(world.sees(name), "first-token", "{name}");
    }
    // One file for each owner and mode: `anew` and `again` share theirs.
    assert_eq!(world.placed(), 5);
    let key_file = fs::metadata(world.engine.folder().join("state/digest.key")).unwrap();
    assert_eq!((key_file.len(), key_file.permissions().mode() & 0o7777), (32, 0o600));
    let started = "{{.State.StartedAt}}";
    let before: Vec<_> = NAMES.iter().map(|name| (world.id(name), world.fact(name, started))).collect();

    // The same values, encrypted again and to one more recipient: nothing happens.
    world.profile.write("more", "shop", "compose.yaml", SPEC);
    let more = key.encrypt_also_to(&[&Key::default()], "first-token");
    world.profile.write("more", "shop", "token.age", &more);
    world.settle("more", 0);
    for (name, (id, since)) in NAMES.iter().zip(&before) {
        assert_eq!((&world.id(name), &world.fact(name, started)), (id, since), "{name}");
    }

    // What `none` leaves is a difference that is said.
    world.settle("two", 3);
    let changed: Vec<_> = NAMES
        .iter()
        .zip(before)
        .map(|(name, (id, since))| {
            let (new, again) = (world.id(name) != id, world.fact(name, started) != since);
            format!(
                "{name}: {} {}",
                if new {
                    "new"
                } else if again {
                    "restarted"
                } else {
                    "as it was"
                },
                world.sees(name)
            )
        })
        .collect();
    assert_eq!(
        changed,
        [
            "anew: new the-second-and-longer-token",
            "again: restarted the-second-and-longer-token",
            "told: as it was the-second-and-longer-token",
            "mine: as it was the-second-and-longer-token",
            "left: as it was first-token",
            "own: new the-second-and-longer-token",
        ]
    );
    world.settle("two", 3);
    assert_eq!(world.placed(), 5);

    // Who does not use it any more leaves nothing behind.
    world.settle("none", 0);
    world.settle("none", 0);
    assert_eq!(world.placed(), 0);
}
