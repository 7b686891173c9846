//! What does a build read that does not stay in the image: secrets, an ssh agent?

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    path::PathBuf,
    thread,
};

use tests::{
    Engine, Profile, Programs,
    secret::{Key, recorded},
};

const SPEC: &str = "
x-agent: {update: {monitor: 1s}, env_files: [vars.env]}
services:
  web:
    build:
      context: ./app
      secrets: [plain, {source: locked, target: token}, part, variable]
      ssh: [default=SOCKET]
    restart: always
secrets:
  plain: {file: ./plain.txt}
  locked: {file: ./locked.age}
  part: {file: './all.yaml#postgres/user'}
  variable: {environment: PW}
";
const DOCKERFILE: &str = "FROM standin:1
RUN --mount=type=secret,id=plain keep /run/secrets/plain /plain
RUN --mount=type=secret,id=token keep /run/secrets/token /token
RUN --mount=type=secret,id=part,target=/tmp/part keep /tmp/part /part
RUN --mount=type=secret,id=variable,required=true keep /run/secrets/variable /variable
RUN --mount=type=secret,id=nobody keep /plain /optional
RUN --mount=type=ssh ask /agent
";
const SECRETS: [&str; 3] = ["correct-horse", "battery-staple", "tr0ub4dor"];

/// An ssh agent that answers one word to whatever it is asked.
fn agent(engine: &Engine) -> PathBuf {
    let socket = engine.folder().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0]).and_then(|_| client.write_all(b"signed"));
        }
    });
    socket
}

#[test]
fn secrets_and_an_ssh_agent_are_there_while_an_image_is_built_and_not_in_it() {
    let engine = Engine::start(&[]);
    let profile = Profile::new(engine.folder());
    let key = Key::default();
    let keys = key.save(engine.folder()).display().to_string();
    let recorded_keys = recorded("keys/age.txt").display().to_string();
    let programs = Programs::new(&engine, &profile).with(&["--age-key", &keys, "--age-key", &recorded_keys]);
    let socket = agent(&engine);
    let [plain, locked, variable] = SECRETS;
    let declare = |generation: &str, plain: &str, dockerfile: &str| {
        let spec = SPEC.replace("SOCKET", &socket.display().to_string());
        let sealed = fs::read_to_string(recorded("cases/yaml-age.sops")).unwrap();
        for (file, text) in [
            ("compose.yaml", spec.as_str()),
            ("plain.txt", plain),
            ("locked.age", &key.encrypt(locked)),
            ("all.yaml", &sealed),
            ("vars.env", &format!("PW={variable}\n")),
        ] {
            profile.write(generation, "shop", file, text);
        }
        profile.write(generation, "shop/app", "Dockerfile", dockerfile);
        profile.switch(generation);
    };
    let shows = |file: &str| engine.docker_prints(&["exec", "shop-web-1", "/bin/standin", "--show", file]);

    declare("one", &format!("{plain}\n"), DOCKERFILE);
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!([shows("/plain"), shows("/token"), shows("/variable")], SECRETS, "byte for byte");
    assert_eq!((shows("/part").as_str(), shows("/agent").as_str()), ("app", "signed"));
    let history = engine.docker_prints(&["history", "--no-trunc", "shop-web"]);
    let image = engine.docker_prints(&["image", "inspect", "shop-web"]);
    let told = format!("{said}{history}{image}");
    assert!(SECRETS.iter().all(|secret| !told.contains(secret)), "{told}");

    // Another value builds nothing anew, as with Docker Compose.
    declare("two", "another", DOCKERFILE);
    let (status, said) = programs.once(&[]);
    assert_eq!((status, said.contains("build image")), (Some(0), false), "{said}");

    // A step that fails and says what it has read.
    let leaks = format!("{DOCKERFILE}RUN --mount=type=secret,id=token leak /run/secrets/token\n");
    declare("three", plain, &leaks);
    let (status, said) = programs.once(&[]);
    assert_ne!(status, Some(0), "{said}");
    assert!(said.contains("build image shop-web") && said.contains("***"), "{said}");
    assert!(SECRETS.iter().all(|secret| !said.contains(secret)), "{said}");
}
