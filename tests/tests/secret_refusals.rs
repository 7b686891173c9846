//! Does a file that cannot be trusted or opened fail its own stack, say what to do, and leave everything that runs as it is?

use std::fs;

use serde_json::Value;
use tests::{
    Engine, Profile, Programs,
    secret::{Key, recorded},
};

const SPEC: &str = "
services: {a: {image: 'standin:1', restart: always, env_file: [sealed.env], secrets: [s]}}
secrets: {s: {file: ./sealed.age}}
";

/// A stack whose variables or secret go bad, and what is said about it.
struct Case {
    stack: &'static str,
    variables: String,
    secret: String,
    words: [&'static str; 2],
}

fn cases(good: &str, secret: &str) -> Vec<Case> {
    let case = |stack, variables: String, words| Case { stack, variables, secret: secret.to_owned(), words };
    let fields: Vec<&str> = good.lines().collect();
    let (user, pass) = (fields[0].split_once('=').unwrap(), fields[1].split_once('=').unwrap());
    let moved = good.replace(fields[0], &format!("{}={}", user.0, pass.1));
    let moved = moved.replacen(fields[1], &format!("{}={}", pass.0, user.1), 1);
    let mac = fields.iter().find(|line| line.starts_with("sops_mac=")).unwrap();
    let stranger = fs::read_to_string(recorded("cases/dotenv-several.sops")).unwrap();
    let restore = "restore the file from version control";
    let mut all = vec![
        case("stranger", stranger, ["no identity of this host opens", "sops updatekeys"]),
        case("value", changed(good, pass.1), ["was changed after encryption", restore]),
        case("mac", changed(good, mac), ["was changed after encryption", restore]),
        case("moved", moved, ["was changed after encryption", restore]),
        case("cut", fields[..2].join("\n"), ["was it cut off?", "copy the file again"]),
    ];
    let half = secret.lines().take(secret.lines().count() - 3).collect::<Vec<_>>().join("\n");
    all.push(Case { secret: half, ..case("half", good.to_owned(), ["sealed.age", "copy the file again"]) });
    all
}

/// The file with one letter in the data of an encrypted value changed.
fn changed(file: &str, value: &str) -> String {
    let at = value.find("data:").unwrap() + "data:".len();
    let other = if value[at..].starts_with('A') { "B" } else { "A" };
    file.replacen(value, &format!("{}{other}{}", &value[..at], &value[at + 1..]), 1)
}

fn stack<'a>(status: &'a Value, name: &str) -> &'a Value {
    let stacks = status["stacks"].as_array().unwrap();
    stacks.iter().find(|stack| stack["name"] == name).unwrap_or_else(|| panic!("{name}: {status:#}"))
}

#[test]
fn what_cannot_be_opened_or_trusted_fails_its_own_stack_and_nothing_that_runs() {
    let engine = Engine::start(&[]);
    let profile = Profile::new(engine.folder());
    let key = Key::default();
    let [age, own] =
        [recorded("keys/age.txt"), key.save(engine.folder())].map(|path| path.display().to_string());
    let programs = Programs::new(&engine, &profile).with_memory(&engine);
    let programs = programs.with(&["--age-key", &age, "--age-key", &own]);
    let good = fs::read_to_string(recorded("cases/small-dotenv.sops")).unwrap();
    let secret = key.encrypt("the-token");
    let cases = cases(&good, &secret);
    let names: Vec<&str> = cases.iter().map(|case| case.stack).chain(["fine"]).collect();
    let declare = |generation: &str, stack: &str, spec: &str, variables: &str, secret: &str| {
        profile.write(generation, stack, "compose.yaml", spec);
        profile.write(generation, stack, "sealed.env", variables);
        profile.write(generation, stack, "sealed.age", secret);
    };
    for name in &names {
        declare("good", name, SPEC, &good, &secret);
    }
    for case in &cases {
        declare("bad", case.stack, SPEC, &case.variables, &case.secret);
    }
    let renewed = SPEC.replace("restart:", "environment: {NEW: '1'}, restart:");
    declare("bad", "fine", &renewed, &good, &secret);
    profile.switch("good");
    let daemon = programs.daemon(&engine.folder().join("daemon.log"));
    let container = |name: &str| engine.id_of(&format!("{name}-a-1"));
    programs.wait_for("converged", || names.iter().all(|name| !container(name).is_empty()));
    let facts = |name: &str| {
        engine.docker_prints(&["inspect", "--format", "{{.Id}} {{.State.StartedAt}}", &format!("{name}-a-1")])
    };
    let before: Vec<String> = names.iter().map(|name| facts(name)).collect();

    profile.switch("bad");
    let is_bad = |name: &str, status: &Value| stack(status, name)["phase"] == "failed";
    programs.wait_until("every bad stack has failed, and the good one goes on", || {
        let status = programs.status();
        status["generation"].as_str().is_some_and(|generation| generation.ends_with("/bad"))
            && cases.iter().all(|case| is_bad(case.stack, &status))
            && stack(&status, "fine")["phase"] == "converged"
            && facts("fine") != before[before.len() - 1]
    });
    let status = programs.status();
    for case in &cases {
        let found = stack(&status, case.stack);
        let reason = found["reason"].as_str().unwrap();
        assert_eq!(found["failed_by"], "secrets", "{found:#}");
        assert!(case.words.iter().all(|words| reason.contains(words)), "{}: {reason}", case.stack);
        assert!(!reason.contains("geheim") && !reason.contains("the-token"), "{reason}");
    }
    let table = String::from_utf8_lossy(&programs.agentctl(&["status"]).stdout).into_owned();
    assert_eq!(table.matches("failed(secrets)").count(), cases.len(), "{table}");
    for (name, before) in names.iter().zip(&before).filter(|(name, _)| **name != "fine") {
        assert_eq!(&facts(name), before, "{name}");
    }

    // What was restored is what runs: nothing is to be done.
    profile.switch("good");
    programs.wait_for("converged", || {
        programs.status()["generation"].as_str().is_some_and(|generation| generation.ends_with("/good"))
    });
    for (name, before) in names.iter().zip(&before).filter(|(name, _)| **name != "fine") {
        assert_eq!(&facts(name), before, "{name}");
    }
    drop(daemon);
}
