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

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// Between two requests.
const IDLE: Duration = Duration::from_secs(600);
/// From a request's first byte to its last.
const COMPLETE: Duration = Duration::from_secs(10);
/// Until an answer is taken.
const TAKE: Duration = Duration::from_secs(30);

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
        let sent = timeout(TAKE, self.to.write_all(&wire::encode(answer))).await;
        self.lost = !matches!(sent, Ok(Ok(())));
    }
}

/// Serves connections until the task is dropped.
pub async fn serve(listener: UnixListener, rules: Rules, methods: Rc<impl Methods>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (rules, methods) = (rules.clone(), Rc::clone(&methods));
                tasks.spawn_local(async move {
                    if let Err(error) = connection(stream, &rules, &*methods).await {
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

async fn connection(stream: UnixStream, rules: &Rules, methods: &impl Methods) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let access = rules.access(peer.uid(), peer.gid());
    let by = format!("uid {}", peer.uid());
    let (read, write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut answers = Answers { to: write, oneway: false, lost: false };
    while let Some(bytes) = request(&mut read).await? {
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
async fn request(read: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Vec<u8>>> {
    let first = timeout(IDLE, read.fill_buf()).await.map_err(|_| io::ErrorKind::TimedOut)??;
    if first.is_empty() {
        return Ok(None);
    }
    timeout(COMPLETE, wire::read(read, MAX_REQUEST)).await.map_err(|_| io::ErrorKind::TimedOut)?
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
mod tests {
    use serde::Deserialize;
    use tokio::{io::AsyncReadExt, task::LocalSet};

    use super::*;

    struct Echo;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Say {
        word: String,
        #[serde(default)]
        times: Option<u32>,
    }

    impl Methods for Echo {
        async fn call(&self, call: Call, answers: &mut Answers) -> Result<(), Fault> {
            match call.method.as_str() {
                "Say" => {
                    let say: Say = call.arguments()?;
                    for _ in 1..say.times.unwrap_or(1) {
                        answers.next(json!({ "word": say.word })).await;
                    }
                    answers.last(json!({ "word": say.word })).await;
                    Ok(())
                }
                "Hang" => std::future::pending().await,
                other => Err(Fault::method_not_found(other)),
            }
        }
    }

    /// Sends raw bytes and gives what comes back until the server hangs up or falls silent.
    async fn talk(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).expect("a socket");
        LocalSet::new()
            .run_until(async {
                let server = tokio::task::spawn_local(serve(listener, Rules::default(), Rc::new(Echo)));
                let mut stream = UnixStream::connect(&path).await.expect("a connection");
                stream.write_all(bytes).await.expect("a request");
                let mut said = Vec::new();
                let mut chunk = [0; 4096];
                while let Ok(Ok(read @ 1..)) =
                    timeout(Duration::from_millis(150), stream.read(&mut chunk)).await
                {
                    said.extend_from_slice(&chunk[..read]);
                }
                server.abort();
                String::from_utf8(said).expect("text").replace('\0', "\n")
            })
            .await
    }

    #[tokio::test]
    async fn pipelined_calls_are_answered_in_order_and_streams_continue() {
        let said = talk(
            b"{\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{\"word\":\"a\",\"times\":2},\"more\":true}\0\
              {\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{\"word\":\"b\"},\"oneway\":true}\0\
              {\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{\"word\":\"c\",\"times\":null}}\0",
        )
        .await;
        assert_eq!(
            said,
            "{\"parameters\":{\"word\":\"a\"},\"continues\":true}\n{\"parameters\":{\"word\":\"a\"}}\n{\"parameters\":{\"word\":\"c\"}}\n"
        );
    }

    #[tokio::test]
    async fn the_four_standard_errors_have_their_names() {
        let said = talk(
            b"{\"method\":\"io.compose-agent.Control.Nope\"}\0{\"method\":\"no.such.Thing\"}\0\
              {\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{\"word\":1}}\0\
              {\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{}}\0\
              {\"method\":\"io.compose-agent.Control.Say\",\"parameters\":{\"word\":\"a\",\"more\":1}}\0",
        )
        .await;
        let errors: Vec<Answer> =
            said.lines().map(|line| serde_json::from_str(line).expect("an answer")).collect();
        let names: Vec<_> = errors
            .iter()
            .map(|answer| {
                let name =
                    answer.error.as_deref().unwrap_or_default().trim_start_matches("org.varlink.service.");
                format!(
                    "{name} {}",
                    answer.parameters.values().next().and_then(Value::as_str).unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(
            names,
            [
                "MethodNotFound Nope",
                "InterfaceNotFound no.such",
                "InvalidParameter word",
                "InvalidParameter word",
                "InvalidParameter more"
            ]
        );
    }

    #[tokio::test]
    async fn it_describes_itself() {
        let said = talk(
            b"{\"method\":\"org.varlink.service.GetInfo\"}\0{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"io.compose-agent.Control\"}}\0",
        )
        .await;
        assert!(
            said.contains("\"interfaces\":[\"org.varlink.service\",\"io.compose-agent.Control\"]"),
            "{said}"
        );
        assert!(said.contains("method Status("), "{said}");
    }

    #[tokio::test]
    async fn what_is_no_request_or_too_large_ends_the_connection_and_not_the_server() {
        assert_eq!(talk(b"hello\0").await, "");
        assert_eq!(talk(&vec![b'x'; MAX_REQUEST + 2]).await, "");
    }

    #[tokio::test]
    async fn a_call_that_does_not_end_ends_with_its_caller() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).expect("a socket");
        let echo = Rc::new(Echo);
        LocalSet::new()
            .run_until(async {
                let server = tokio::task::spawn_local(serve(listener, Rules::default(), Rc::clone(&echo)));
                let mut stream = UnixStream::connect(&path).await.expect("a connection");
                stream
                    .write_all(b"{\"method\":\"io.compose-agent.Control.Hang\"}\0")
                    .await
                    .expect("a request");
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert_eq!(Rc::strong_count(&echo), 3, "the test, the server and the connection");
                drop(stream);
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert_eq!(Rc::strong_count(&echo), 2);
                server.abort();
            })
            .await;
    }

    #[test]
    fn a_stranger_may_ask_what_this_is_and_nothing_else() {
        let call = |access| Call {
            method: "Status".into(),
            parameters: Map::new(),
            more: false,
            access,
            by: "uid 7".into(),
        };
        assert!(call(Access::Nothing).must(Access::Read).is_err());
        assert!(call(Access::Read).must(Access::Read).is_ok());
        assert!(call(Access::Read).must_act().is_err());
        assert!(call(Access::Act).must_act().is_ok());
    }
}
