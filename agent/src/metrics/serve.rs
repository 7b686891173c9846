//! How is a scrape answered?
//!
//! `GET /metrics` and nothing else, over the same small HTTP that the Engine is asked with. Bounded: the number of
//! connections, and the time that each may take from its first byte to its last.

use std::{convert::Infallible, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ACCEPT, ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::Semaphore,
    task::spawn_local,
    time::{sleep, timeout},
};

use super::{Format, listen::Listener};
use crate::daemon::Agent;

/// Connections at a time.
const CONNECTIONS: usize = 8;
/// From a connection's beginning to its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers scrapes until the task is dropped.
pub async fn serve(listener: Listener, agent: Rc<Agent>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok(stream) => {
                let agent = Rc::clone(&agent);
                spawn_local(async move {
                    let answer = service_fn(|request| {
                        let answer = answer(&request, &agent);
                        async { Ok::<_, Infallible>(answer) }
                    });
                    let mut http = http1::Builder::new();
                    let served = http.keep_alive(false).serve_connection(TokioIo::new(stream), answer);
                    if let Ok(Err(error)) = timeout(PATIENCE, served).await {
                        tracing::debug!(%error, "a scrape ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors: the next try must not spin.
                tracing::warn!("cannot accept a scrape: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn answer(request: &Request<Incoming>, agent: &Agent) -> Response<Full<Bytes>> {
    let (status, kind, text) = if request.uri().path() != "/metrics" {
        (StatusCode::NOT_FOUND, "text/plain", "metrics are at /metrics\n".to_owned())
    } else if request.method() != Method::GET && request.method() != Method::HEAD {
        (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "metrics can only be read\n".to_owned())
    } else {
        let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
        let format = Format::accepted(accept.unwrap_or_default());
        (StatusCode::OK, format.content_type(), agent.metrics_text(format).unwrap_or_default())
    };
    let answer = Response::builder().status(status).header(CONTENT_TYPE, kind).header(ALLOW, "GET, HEAD");
    // Every part of it is a constant or text: there is nothing that a header could refuse.
    answer.body(Full::new(Bytes::from(text))).unwrap_or_default()
}
