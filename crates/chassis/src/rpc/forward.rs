//! Passing calls on to the service that they are for, message for message, in the name of the caller.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::{Service, ServiceExt};

use super::{Client, Refused};

/// Stands for the service `S` (`PolicyServiceServer<()>`) at an edge, and passes its calls on over `client`.
///
/// The caller's token goes along, and so the service decides on the person, not on the edge. Nothing is decoded: the edge
/// need not know the messages.
pub struct Forward<S> {
    client: Client,
    stands_for: PhantomData<fn() -> S>,
}

impl<S> Forward<S> {
    /// To the service behind `client`, which bears no token of its own.
    pub fn to(client: Client) -> Self {
        Self { client, stands_for: PhantomData }
    }
}

impl<S> Clone for Forward<S> {
    fn clone(&self) -> Self {
        Self::to(self.client.clone())
    }
}

impl<S: NamedService> fmt::Debug for Forward<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Forward").field(&S::NAME).finish()
    }
}

impl<S: NamedService> NamedService for Forward<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: NamedService> Service<Request<Body>> for Forward<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // What this side knows of the connection and the caller is none of the next side's.
        *request.extensions_mut() = Extensions::new();
        let client = self.client.clone();
        Box::pin(async move {
            let answer = client.oneshot(request).await;
            Ok(answer.unwrap_or_else(|error| gone(S::NAME, &error).into_http()))
        })
    }
}

/// A connection that broke is no answer of the service: whoever asked may ask again. (What tonic makes of it is "unknown", which
/// says nothing to anybody.)
fn gone(service: &str, error: &tonic::transport::Error) -> Status {
    tracing::debug!(service, error = crate::error_chain(error), "a call could not be passed on");
    let message = format!("the service {service} does not answer at this moment");
    Refused::unavailable("SERVICE_UNAVAILABLE", message, "try again in a moment; a repeated call changes nothing twice").into()
}
