//! Which requests does a program make of the Engine? A socket in between that writes each one down.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// A socket that passes everything on to the Engine's, and remembers the requests.
#[derive(Debug)]
pub struct Proxy {
    path: PathBuf,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// One request, as it was made.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `POST /v1.41/containers/create?name=web`.
    pub line: String,
    /// What was sent with it.
    pub body: Vec<u8>,
}

impl Proxy {
    /// Listens at `path` and passes on to `engine`, until the test's process ends.
    ///
    /// # Panics
    /// It cannot listen.
    pub fn start(path: &Path, engine: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, engine) = (Arc::clone(&requests), engine.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (seen, engine) = (Arc::clone(&seen), engine.clone());
                thread::spawn(move || pass_on(client, &engine, &seen));
            }
        });
        Self { path: path.to_owned(), requests }
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The requests since the last call, as `POST /v1.41/containers/create`.
    pub fn take(&self) -> Vec<String> {
        self.take_all().into_iter().map(|request| request.line).collect()
    }

    /// The requests since the last call, with what was sent.
    pub fn take_all(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The requests that change something.
pub fn changes(requests: &[String]) -> Vec<&String> {
    requests.iter().filter(|request| !request.starts_with("GET ") && !request.starts_with("HEAD ")).collect()
}

fn pass_on(client: UnixStream, engine: &Path, seen: &Mutex<Vec<Request>>) {
    let Ok(server) = UnixStream::connect(engine) else { return };
    let answers = client.try_clone().and_then(|client| Ok((server.try_clone()?, client)));
    if let Ok((mut from, mut to)) = answers {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
    }
    let _ = requests(BufReader::new(client), &server, seen);
    let _ = server.shutdown(std::net::Shutdown::Write);
}

/// Passes requests on, one after the other.
fn requests(
    mut client: BufReader<UnixStream>,
    mut server: &UnixStream,
    seen: &Mutex<Vec<Request>>,
) -> io::Result<()> {
    loop {
        let (mut head, mut length, mut chunked) = (Vec::new(), 0_u64, false);
        loop {
            let start = head.len();
            if client.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
            let line = String::from_utf8_lossy(&head[start..]).trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        }
        let first = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
        let request = first.rsplit_once(' ').map_or(first.clone(), |(request, _)| request.to_owned());
        let mut body = Vec::new();
        client.by_ref().take(length).read_to_end(&mut body)?;
        server.write_all(&head)?;
        server.write_all(&body)?;
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(Request { line: request, body });
        while chunked {
            let mut line = Vec::new();
            client.read_until(b'\n', &mut line)?;
            server.write_all(&line)?;
            let size = u64::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).unwrap_or(0);
            io::copy(&mut client.by_ref().take(size + 2), &mut server)?;
            chunked = size > 0;
        }
    }
}
