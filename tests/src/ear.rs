//! What does the daemon send to a datagram socket: the service manager's, the journal's?

use std::{
    os::unix::net::UnixDatagram,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::PATIENCE;

/// A datagram socket and everything that arrived on it.
#[derive(Debug)]
pub struct Ear {
    /// Where it listens.
    pub path: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Ear {
    /// Listens at a path.
    ///
    /// # Panics
    /// There is something at the path already.
    pub fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        thread::spawn(move || {
            let mut bytes = vec![0; 1 << 16];
            while let Ok(size) = socket.recv(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..size]).into_owned();
                all.lock().expect("nobody panicked").push(text);
            }
        });
        Self { path: path.display().to_string(), heard }
    }

    /// Everything so far.
    ///
    /// # Panics
    /// The listener has panicked.
    pub fn all(&self) -> Vec<String> {
        self.heard.lock().expect("nobody panicked").clone()
    }

    /// Waits for a datagram with all of these lines: which it is.
    ///
    /// # Panics
    /// None comes within [`PATIENCE`].
    pub fn wait(&self, lines: &[&str]) -> usize {
        let began = Instant::now();
        loop {
            let has =
                |text: &String| lines.iter().all(|line| text.lines().any(|found| found.starts_with(line)));
            if let Some(at) = self.all().iter().position(has) {
                return at;
            }
            assert!(began.elapsed() < PATIENCE, "never {lines:?}: {:#?}", self.all());
            thread::sleep(Duration::from_millis(20));
        }
    }
}
