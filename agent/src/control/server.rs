//! How is a connection of the control socket served?
//!
//! One task per connection, so that a slow caller holds up nobody; calls of one connection are answered in their order,
//! as Varlink wants it. Bounded: the number of connections, the size of a request, the time in which a request must be
//! complete, the time between two requests, and the time in which an answer must be taken.

use std::{future::Future, io, rc::Rc, sync::Arc, time::Duration};

use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use super::{
    DESCRIPTION, INTERFACE,
    access::{Access, Rules},
    wire::{self, Answer, Fault, MAX_REQUEST, Request},
};

/// What one caller may take of the daemon.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections at a time; further ones wait for a place.
    connections: usize,
    /// Between two requests of one who may look.
    idle: Duration,
    /// From a request's first byte to its last; from the connection to the first request; a stranger's between two.
    complete: Duration,
    /// Until an answer is taken.
    take: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    idle: Duration::from_secs(600),
    complete: Duration::from_secs(10),
    take: Duration::from_secs(30),
};

/// One call of the agent's own interface.
#[derive(Debug)]
pub struct Call {
    /// The method without its interface.
    pub method: String,
    /// The arguments.
    pub parameters: Map<String, Value>,
    /// Several answers are welcome.
    pub more: bool,
    /// What the caller may do.
    pub access: Access,
    /// Who calls, for the record.
    pub by: String,
}

impl Call {
    /// Refuses a caller who may only look.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub fn must_act(&self) -> Result<(), Fault> {
        self.must(Access::Act)
    }

    fn must(&self, least: Access) -> Result<(), Fault> {
        if self.access >= least {
            return Ok(());
        }
        Err(Fault::own("PermissionDenied", format!("{} may not call {}", self.by, self.method)))
    }

    /// The arguments as a type; unknown ones, and ones of another type, are refused by name.
    ///
    /// # Errors
    /// `InvalidParameter`.
    pub fn arguments<T: serde::de::DeserializeOwned>(&self) -> Result<T, Fault> {
        // A null is how some callers leave an argument out.
        let given: Map<String, Value> = self
            .parameters
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        for (name, value) in &given {
            let mut one = Map::new();
            one.insert(name.clone(), value.clone());
            if let Err(error) = serde_json::from_value::<T>(Value::Object(one))
                && !error.to_string().starts_with("missing field")
            {
                return Err(Fault::invalid_parameter(name));
            }
        }
        serde_json::from_value(Value::Object(given)).map_err(|error| {
            let words = error.to_string();
            Fault::invalid_parameter(words.split('`').nth(1).unwrap_or("parameters"))
        })
    }
}

/// What the methods of the agent's own interface do.
pub trait Methods: 'static {
    /// Answers one call through `answers`; a fault ends it.
    fn call(&self, call: Call, answers: &mut Answers) -> impl Future<Output = Result<(), Fault>>;
}

/// Where the answers of one call go.
#[derive(Debug)]
pub struct Answers {
    to: OwnedWriteHalf,
    take: Duration,
    oneway: bool,
    lost: bool,
}

impl Answers {
    /// The only or the last answer.
    pub async fn last(&mut self, parameters: Value) {
        self.send(parameters, false).await;
    }

    /// One of several answers. `false` where the caller has gone: stop.
    pub async fn next(&mut self, parameters: Value) -> bool {
        self.send(parameters, true).await;
        !self.lost
    }

    async fn send(&mut self, parameters: Value, continues: bool) {
        let Value::Object(parameters) = parameters else { return };
        self.write(&Answer { parameters, continues, error: None }).await;
    }

    async fn write(&mut self, answer: &Answer) {
        if self.oneway || self.lost {
            return;
        }
        let sent = timeout(self.take, self.to.write_all(&wire::encode(answer))).await;
        self.lost = !matches!(sent, Ok(Ok(())));
    }
}

/// Serves connections until the task is dropped.
pub async fn serve(listener: UnixListener, rules: Rules, methods: Rc<impl Methods>) {
    serve_within(LIMITS, listener, rules, methods).await;
}

async fn serve_within(limits: Limits, listener: UnixListener, rules: Rules, methods: Rc<impl Methods>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (rules, methods) = (rules.clone(), Rc::clone(&methods));
                tasks.spawn_local(async move {
                    if let Err(error) = connection(stream, limits, &rules, &*methods).await {
                        tracing::debug!(%error, "control connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors: the next try must not spin.
                tracing::warn!(%error, "cannot accept a control connection");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn connection(
    stream: UnixStream,
    limits: Limits,
    rules: &Rules,
    methods: &impl Methods,
) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let access = rules.access(peer.uid(), peer.gid());
    let by = format!("uid {}", peer.uid());
    let (read, write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut answers = Answers { to: write, take: limits.take, oneway: false, lost: false };
    // Places are few: one who has not asked yet, or may ask nothing, keeps none for long.
    let mut idle = limits.complete;
    while let Some(bytes) = request(&mut read, idle, limits.complete).await? {
        if access > Access::Nothing {
            idle = limits.idle;
        }
        let Ok(request) = serde_json::from_slice::<Request>(&bytes) else {
            // Varlink has no answer to what is no request.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a Varlink request"));
        };
        answers.oneway = request.oneway.unwrap_or(false);
        let gone = tokio::select! {
            result = dispatch(request, access, &by, methods, &mut answers) => {
                if let Err(fault) = result {
                    answers.write(&fault.into()).await;
                }
                answers.lost
            }
            () = hung_up(&mut read) => true,
        };
        if gone {
            return Ok(());
        }
    }
    Ok(())
}

/// Waits for the first byte of a request for long, for the rest of it only shortly.
async fn request(
    read: &mut BufReader<OwnedReadHalf>,
    idle: Duration,
    complete: Duration,
) -> io::Result<Option<Vec<u8>>> {
    let first = timeout(idle, read.fill_buf()).await.map_err(|_| io::ErrorKind::TimedOut)??;
    if first.is_empty() {
        return Ok(None);
    }
    timeout(complete, wire::read(read, MAX_REQUEST)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Ends when the caller hangs up: a stream of answers must not outlive its reader. A further request in the buffer
/// means that it has not.
async fn hung_up(read: &mut BufReader<OwnedReadHalf>) {
    match read.fill_buf().await {
        Ok([]) | Err(_) => {}
        Ok(_) => std::future::pending().await,
    }
}

async fn dispatch(
    request: Request,
    access: Access,
    by: &str,
    methods: &impl Methods,
    answers: &mut Answers,
) -> Result<(), Fault> {
    let Some((interface, method)) = request.method.rsplit_once('.') else {
        return Err(Fault::interface_not_found(&request.method));
    };
    let call = Call {
        method: method.to_owned(),
        parameters: request.parameters.unwrap_or_default(),
        more: request.more.unwrap_or(false),
        access,
        by: by.to_owned(),
    };
    match interface {
        "org.varlink.service" => answers.last(service(&call)?).await,
        INTERFACE => {
            call.must(Access::Read)?;
            methods.call(call, answers).await?;
        }
        other => return Err(Fault::interface_not_found(other)),
    }
    Ok(())
}

/// What every Varlink service answers about itself, to anybody.
fn service(call: &Call) -> Result<Value, Fault> {
    match call.method.as_str() {
        "GetInfo" => Ok(json!({
            "vendor": "compose-agent", "product": "compose-agent", "version": env!("CARGO_PKG_VERSION"),
            "url": env!("CARGO_PKG_REPOSITORY"), "interfaces": ["org.varlink.service", INTERFACE],
        })),
        "GetInterfaceDescription" => match call.parameters.get("interface").and_then(Value::as_str) {
            Some(INTERFACE) => Ok(json!({ "description": DESCRIPTION })),
            Some("org.varlink.service") => Ok(json!({ "description": SERVICE })),
            Some(other) => Err(Fault::interface_not_found(other)),
            None => Err(Fault::invalid_parameter("interface")),
        },
        _ => Err(Fault::method_not_found(&format!("org.varlink.service.{}", call.method))),
    }
}

const SERVICE: &str = include_str!("../../interface/org.varlink.service.varlink");

#[cfg(test)]
mod tests;
