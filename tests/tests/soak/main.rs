//! After all sorts of interference with a homelab, for as long as one likes: is everything as declared, was each
//! interference reported exactly once and nothing else, does the agent keep its size, and does it do nothing when idle?
//!
//! Rounds of seeded random acts, some on the same service, some while the agent still answers the one before; `book.rs`
//! says what "exactly once" means. Nothing but events tells the agent, except of files, which have none: a look at
//! everything at the end of a round has to find nothing more. `COMPOSE_AGENT_SOAK=3600` goes on for an hour,
//! `COMPOSE_AGENT_SOAK_SEED=N` does the same again.

#![expect(clippy::print_stderr, reason = "what was measured on the way")]

mod acts;
mod book;
mod lab;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use acts::{ACTS, Expected};
use book::{Book, Report};
use lab::{Held, Lab, REST, until};
use serde_json::Value;

/// What comes from a moment after an act, in milliseconds: nothing, the agent's first look, its answer, its proof.
const PAUSES: [u64; 5] = [0, 0, 120, 600, 1_500];
/// What an event tells of is found by then.
const FOUND: Duration = Duration::from_secs(1);
/// An agent whose memory has been in use for a while needs no more, in kilobytes.
const GROWTH: u64 = 2_048;

struct Soak {
    lab: Lab,
    random: u64,
    done: BTreeMap<&'static str, usize>,
    reports: usize,
    covered: usize,
    slowest: Duration,
    troubles: RefCell<Vec<String>>,
}

impl Soak {
    fn pick(&mut self, below: usize) -> usize {
        // Knuth's MMIX generator; its high bits are good enough to choose by.
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.random >> 33) % below as u64).unwrap()
    }

    /// Interferes with some services, waits until the agent has come to rest, and holds what it said against what was done.
    fn round(&mut self) {
        let mark = self.lab.mark();
        let mut did: Vec<String> = Vec::new();
        let mut expected: Vec<Expected> = Vec::new();
        let mut target = self.pick(self.lab.services.len());
        for _ in 0..=self.pick(4) {
            // One in three hits the same service again.
            if self.pick(3) != 0 {
                target = self.pick(self.lab.services.len());
            }
            let act = &ACTS[self.pick(ACTS.len())];
            // Who tags an image for the second time tags it back.
            if act.name == "retag" && did.iter().any(|done| done.starts_with("retag")) {
                continue;
            }
            let service = self.lab.services[target].clone();
            let Some(differences) = (act.act)(&mut self.lab, &service) else { continue };
            did.push(format!("{} {}/{}", act.name, service.stack, service.name));
            expected.extend(differences);
            *self.done.entry(act.name).or_default() += 1;
            sleep(Duration::from_millis(PAUSES[self.pick(PAUSES.len())]));
        }
        let acted = Instant::now();
        let rested = until(REST, || {
            let reports = self.reports(mark);
            acted.elapsed() > FOUND
                && self.book(&expected, &reports).unsaid().is_empty()
                && self.lab.is_converged()
        });
        let rest = acted.elapsed();
        let reports = self.reports(mark);
        let book = self.book(&expected, &reports);
        let (unsaid, unfounded, covered) = (book.unsaid(), book.unfounded(), book.covered());
        for report in unfounded {
            self.trouble(&did, mark, &format!("not done, or said too often: {report:?}"));
        }
        for expected in unsaid {
            self.trouble(&did, mark, &format!("not said within {rest:?}: {expected:?}"));
        }
        if !rested {
            self.trouble(&did, mark, &format!("no rest within {rest:?}: {:#}", self.lab.programs.status()));
        }
        self.look_again(reports.len(), mark, &did);
        self.reports += reports.len();
        self.covered += covered;
        self.slowest = self.slowest.max(rest);
    }

    /// Something is wrong. The rounds go on, so that one run shows all of it.
    fn trouble(&self, did: &[String], mark: usize, what: &str) {
        eprintln!("{did:?}: {what}\n{}", self.story(mark));
        self.troubles.borrow_mut().push(format!("{did:?}: {what}"));
    }

    /// What was said from then on, as people read it.
    fn story(&self, mark: usize) -> String {
        let line = |(_, said): &(Instant, Value)| {
            format!("{}: {} {}\n", said["stack"], said["event"], said["message"])
        };
        self.lab.heard(mark).iter().map(line).collect()
    }

    fn book<'a>(&'a self, expected: &'a [Expected], reports: &'a [Report]) -> Book<'a> {
        Book { services: &self.lab.services, expected, reports }
    }

    fn reports(&self, mark: usize) -> Vec<Report> {
        self.lab.heard(mark).iter().filter_map(|(_, said)| Report::of(said)).collect()
    }

    /// Events told the agent of everything: looking at all of it again finds nothing. It also makes the agent forget how
    /// often it has put a difference right, which it would space out.
    fn look_again(&self, before: usize, mark: usize, did: &[String]) {
        let output = self.lab.programs.agentctl(&["reconcile", "--wait", "--timeout", "60s"]);
        if !output.status.success() {
            let answer = String::from_utf8_lossy(&output.stdout);
            self.trouble(did, mark, &format!("not converged: {answer}"));
        }
        for late in self.reports(mark).split_off(before) {
            self.trouble(did, mark, &format!("found only when looked for: {late:?}"));
        }
        if self.lab.heard(mark).iter().any(|(_, said)| said["event"] == "failed") {
            self.trouble(did, mark, "a step failed");
        }
    }

    /// Any span in which nothing happens will do: a machine may be busy with what came before.
    fn assert_idle(&self, span: Duration) {
        let mut used = 0;
        let idle = until(span * 4, || {
            let before = self.lab.ticks();
            sleep(span);
            used = self.lab.ticks() - before;
            used == 0
        });
        assert!(idle, "an idle daemon used {used} ticks in {span:?}");
    }
}

#[test]
fn each_interference_is_reported_once_and_put_right_and_an_idle_daemon_does_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let span = Duration::from_secs(number("COMPOSE_AGENT_SOAK").unwrap_or(25));
    let lab = Lab::new();
    let random = number("COMPOSE_AGENT_SOAK_SEED").unwrap_or(5);
    let mut soak = Soak {
        lab,
        random,
        done: BTreeMap::new(),
        reports: 0,
        covered: 0,
        slowest: Duration::ZERO,
        troubles: RefCell::default(),
    };
    let began = Instant::now();
    let mut warm: Option<Held> = None;
    let mut rounds = 0;
    while began.elapsed() < span {
        soak.round();
        rounds += 1;
        if warm.is_none() && began.elapsed() > span / 4 {
            warm = Some(soak.lab.held());
        }
    }
    soak.assert_idle(if span > Duration::from_secs(600) {
        Duration::from_secs(30)
    } else {
        Duration::from_secs(5)
    });
    let (warm, last) = (warm.unwrap(), soak.lab.held());
    let acts: usize = soak.done.values().sum();
    eprintln!(
        "{rounds} rounds over {} services: {acts} acts {:?}, {} reports, {} differences covered by others; the longest rest after {:?}; {warm:?} → {last:?}",
        soak.lab.services.len(),
        soak.done,
        soak.reports,
        soak.covered,
        soak.slowest
    );
    assert!(soak.troubles.borrow().is_empty(), "{:#?}", soak.troubles);
    assert!(last.kilobytes <= warm.kilobytes + GROWTH, "{warm:?} → {last:?}");
    assert!(last.descriptors <= warm.descriptors, "{warm:?} → {last:?}");
    assert_eq!(last.watches, warm.watches);
    let errors: Vec<String> = soak
        .lab
        .log()
        .lines()
        .filter(|line| line.starts_with("<3>") || line.contains("ERROR"))
        .map(str::to_owned)
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert!(acts > rounds / 2 && soak.covered * 3 < acts, "most acts are seen for themselves");
}
