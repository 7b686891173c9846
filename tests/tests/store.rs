//! Does a garbage collection leave every file of the Nix store that a container has mounted, and take it when none has?
//!
//! Needs Nix, its store, and two systems in it: `tests/nix/run` brings all of them, and runs this.

use std::{fs, path::PathBuf, process::Command};

use tests::Lab;

/// Two systems as `tests/nix/systems.nix` has them. A file names them: the collector spares what a process has in its
/// environment.
fn systems() -> (String, String) {
    let file = std::env::var("COMPOSE_AGENT_SYSTEMS").expect("tests/nix/run says where the systems are");
    let text = fs::read_to_string(file).expect("readable");
    let (first, second) = text.trim().split_once('\n').expect("two lines");
    (first.to_owned(), second.to_owned())
}

const PROFILE: &str = "/nix/var/nix/profiles/stacks";

/// As `nixos-rebuild` does it: a new generation of the profile, and the link swapped.
fn activate(lab: &Lab, how: &[&str]) {
    nix("nix-env", &[&["--quiet", "--profile", PROFILE], how].concat());
    let system = fs::canonicalize(PROFILE).expect("a generation");
    lab.profile.switch(system.to_str().expect("text"));
}

fn nix(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("Nix");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a system's scripts print at `dry-activate`.
fn dry_activate(lab: &Lab, system: &str) -> String {
    let socket = lab.engine.folder().join("control.sock");
    let mut command = Command::new("bash");
    command.arg(format!("{system}/dry-activate")).arg(system);
    let output = command.env("NIXOS_ACTION", "dry-activate").env("AGENTCTL_SOCKET", socket).output();
    String::from_utf8_lossy(&output.expect("bash").stdout).into_owned()
}

/// The store path that a stack's container has mounted.
fn mounted(lab: &Lab, stack: &str) -> PathBuf {
    let format = "{{range .Mounts}}{{.Source}}{{end}}";
    let source = lab.engine.docker_prints(&["inspect", "--format", format, &format!("{stack}-web-1")]);
    assert!(source.starts_with("/nix/store/"), "{stack}: {source}");
    source.into()
}

/// What the container reads there; nothing while it does not run.
fn reads(lab: &Lab, stack: &str) -> String {
    let output =
        lab.engine.docker(&["exec", &format!("{stack}-web-1"), "/bin/standin", "--show", "/etc/motd"]);
    if output.status.success() { String::from_utf8_lossy(&output.stdout).into_owned() } else { String::new() }
}

#[test]
#[expect(clippy::print_stderr, reason = "what keeps it, where it is kept for too long")]
#[ignore = "needs Nix: tests/nix/run runs it"]
fn a_collection_leaves_what_containers_mount_and_nothing_else() {
    let (first, second) = systems();
    let mut lab = Lab::default();
    fs::create_dir_all(lab.profile.link().with_file_name("")).expect("made");
    let roots = "/nix/var/nix/gcroots/compose-agent";
    lab.programs = lab.programs.with(&["--gc-roots", roots, "--resync", "2s"]);
    activate(&lab, &["--set", &first]);
    let _daemon = lab.programs.daemon(&lab.engine.folder().join("daemon.log"));
    lab.programs.wait_for("converged", || true);
    let (web, failing) = (mounted(&lab, "web"), mounted(&lab, "failing"));
    assert_eq!((reads(&lab, "web"), web.clone()), ("one".into(), failing.clone()));

    // `dry-activate` says what there would be to do, and does nothing.
    let before = lab.engine.id_of("web-web-1");
    let said = dry_activate(&lab, &second);
    assert!(said.contains("web-web-1") && said.contains("motd"), "{said}");
    assert!(said.contains("leaving-web-1"), "{said}");
    assert!(dry_activate(&lab, &first).contains("nothing to do"));
    assert_eq!((lab.engine.id_of("web-web-1"), reads(&lab, "leaving")), (before, "one".into()));

    // There and back.
    activate(&lab, &["--set", &second]);
    lab.wait("failing", "failed", "absent:1");
    lab.programs.wait_until("the second generation", || reads(&lab, "web") == "two");
    let two = mounted(&lab, "web");
    activate(&lab, &["--rollback"]);
    lab.programs.wait_until("the first generation", || reads(&lab, "web") == "one");
    lab.programs.wait_for("converged", || true);
    assert_eq!(mounted(&lab, "web"), web);

    // One stack is held, one fails, one leaves; the generation that they are of is collected.
    assert!(lab.programs.agentctl(&["hold", "web"]).status.success());
    activate(&lab, &["--set", &second]);
    lab.wait("failing", "failed", "absent:1");
    lab.programs.wait_until("it has left", || lab.engine.id_of("leaving-web-1").is_empty());
    nix("nix-collect-garbage", &["--quiet", "-d"]);
    assert!(!PathBuf::from(&first).exists() && PathBuf::from(&second).exists());
    for stack in ["web", "failing"] {
        assert!(lab.running(&format!("{stack}-web-1")) && web.exists());
        assert_eq!(reads(&lab, stack), "one", "{stack}");
    }
    // A file that is gone would be one that the container cannot be started with again.
    lab.engine.docker_prints(&["restart", "web-web-1"]);
    assert_eq!(reads(&lab, "web"), "one");

    // The last container that has it mounted goes: so does the root, and then the file.
    assert!(lab.programs.agentctl(&["release", "web"]).status.success());
    lab.programs.wait_until("the second generation", || reads(&lab, "web") == "two");
    nix("nix-collect-garbage", &["--quiet"]);
    assert_eq!((reads(&lab, "failing"), web.exists()), ("one".into(), true), "one still has it");
    assert!(lab.programs.agentctl(&["down", "failing"]).status.success());
    lab.programs.wait_until("it is down", || lab.engine.id_of("failing-web-1").is_empty());
    let kept = || nix("nix-store", &["--query", "--roots", web.to_str().expect("text")]);
    lab.programs.wait_until("it is collected", || {
        nix("nix-collect-garbage", &["--quiet"]);
        if web.exists() {
            eprintln!("still kept by: {}", kept());
        }
        !web.exists()
    });
    assert_eq!((reads(&lab, "web"), two.exists()), ("two".into(), true));
}
